//! Answers, notice URLs and markup through their public faces.

mod answers;
mod hostile;
mod macros;
mod media;
mod notices;
mod payloads;
mod vast;
