//! Answers, notice URLs and markup through their public faces.

mod answers;
mod macros;
mod notices;
mod vast;
