//! Answers, notice URLs and markup through their public faces.

mod answers;
mod macros;
mod media;
mod notices;
mod vast;
