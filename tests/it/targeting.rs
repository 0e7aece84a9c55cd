//! Targeting: what each rule means, and that the compiled index and the naive evaluator agree.

mod agreement;
mod rules;
mod world;
