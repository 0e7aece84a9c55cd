//! Where in a script a macro stands: just enough of JavaScript's lexical grammar (ECMA-262 section 12) to tell a
//! string from everything else.
//!
//! Invariant: when [`ScriptLexer::place`] says "in a string", a browser agrees. Where this lexer cannot be sure (is
//! this slash a division or a regular expression?) it says so for the rest of the script and no macro is allowed
//! there: refusing a creative costs its author a minute, a wrong guess opens a hole.

/// Lexer state, fed byte by byte.
#[derive(Clone, Debug)]
pub(super) struct ScriptLexer {
    state: State,
    /// What a slash would mean after the last token.
    before_slash: Slash,
    /// The word being read, for keywords that a regular expression may follow.
    word: Vec<u8>,
    /// The last four bytes in code, for `<!--`, `-->` and `++`.
    last: [u8; 4],
    /// From here on nothing is certain; the text says why.
    unsure: Option<&'static str>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Code,
    /// A slash in code whose next byte is not known yet.
    Slash,
    LineComment,
    BlockComment {
        star: bool,
    },
    String {
        quote: u8,
        escape: bool,
        markup: bool,
    },
    Template {
        escape: bool,
    },
    Regex {
        escape: bool,
        class: bool,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Slash {
    Division,
    Regex,
    Unclear,
}

/// Words after which a slash may begin a regular expression, though after other words it divides.
const KEYWORDS: [&[u8]; 14] = [
    b"return",
    b"typeof",
    b"case",
    b"in",
    b"of",
    b"delete",
    b"void",
    b"throw",
    b"new",
    b"else",
    b"do",
    b"instanceof",
    b"yield",
    b"await",
];

impl ScriptLexer {
    pub(super) fn new() -> ScriptLexer {
        ScriptLexer {
            state: State::Code,
            before_slash: Slash::Regex,
            word: Vec::new(),
            last: [b'\n'; 4],
            unsure: None,
        }
    }

    /// `Ok` inside a string literal; else why a macro cannot stand here. Request data may not go into a string
    /// that holds markup: the script will write it as HTML, where this encoding protects nothing.
    pub(super) fn place(&self, hostile: bool) -> Result<(), &'static str> {
        if let Some(why) = self.unsure {
            return Err(why);
        }
        match self.state {
            State::String { escape: true, .. } => Err("after a backslash in a script's string"),
            State::String { markup: true, .. } if hostile => {
                Err("request data in markup that a script writes; keep it in a string of its own")
            }
            State::String { .. } => Ok(()),
            State::LineComment | State::BlockComment { .. } => Err("in a script's comment"),
            State::Template { .. } => Err("in a script's template literal; use a quoted string"),
            State::Regex { .. } => Err("in a script's regular expression"),
            State::Code | State::Slash => Err("in a script outside a string; put it in quotes"),
        }
    }

    /// Takes the next byte of the script.
    pub(super) fn feed(&mut self, byte: u8) {
        self.last.rotate_left(1);
        self.last[3] = byte;
        match self.state {
            State::Code => self.code(byte),
            State::Slash => self.after_slash(byte),
            State::LineComment => {
                let separator = matches!(self.last, [_, 0xe2, 0x80, 0xa8 | 0xa9]);
                if matches!(byte, b'\n' | b'\r') || separator {
                    self.state = State::Code;
                }
            }
            State::BlockComment { star: true } if byte == b'/' => self.state = State::Code,
            State::BlockComment { .. } => self.state = State::BlockComment { star: byte == b'*' },
            State::String { quote, escape, markup } => self.string(byte, quote, escape, markup),
            State::Template { escape } => self.template(byte, escape),
            State::Regex { escape, class } => self.regex(byte, escape, class),
        }
    }

    fn code(&mut self, byte: u8) {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') {
            self.word.push(byte);
            self.before_slash = Slash::Division;
            return;
        }
        if !self.word.is_empty() {
            if KEYWORDS.contains(&self.word.as_slice()) {
                self.before_slash = Slash::Unclear;
            }
            self.word.clear();
        }
        match byte {
            b'/' => self.state = State::Slash,
            b'"' | b'\'' => self.state = State::String { quote: byte, escape: false, markup: false },
            b'`' => self.state = State::Template { escape: false },
            b']' => self.before_slash = Slash::Division,
            // Beyond ASCII there are letters and there is white space.
            b')' | b'}' | b'.' | b'\\' | 0x80.. => self.before_slash = Slash::Unclear,
            b'+' | b'-' if self.last[2] == byte => self.before_slash = Slash::Unclear,
            _ if byte.is_ascii_whitespace() => {}
            _ => self.before_slash = Slash::Regex,
        }
        if self.last == *b"<!--" || self.last[1..] == *b"-->" {
            self.unsure =
                Some("in a script after <!-- or -->, which browsers read as comments in some places");
        }
    }

    fn after_slash(&mut self, byte: u8) {
        match byte {
            b'/' => self.state = State::LineComment,
            b'*' => self.state = State::BlockComment { star: false },
            _ => match self.before_slash {
                Slash::Regex => {
                    self.state = State::Regex { escape: false, class: false };
                    self.regex(byte, false, false);
                }
                Slash::Division => {
                    (self.state, self.before_slash) = (State::Code, Slash::Regex);
                    self.code(byte);
                }
                Slash::Unclear => {
                    self.unsure = Some(
                        "in a script after a slash that may divide or begin a regular expression; \
                         move the macro to the front of the script",
                    );
                    self.state = State::Code;
                }
            },
        }
    }

    fn string(&mut self, byte: u8, quote: u8, escape: bool, markup: bool) {
        let line_end = matches!(byte, b'\n' | b'\r');
        if line_end && !escape && !(byte == b'\n' && self.last[2] == b'\r') {
            self.unsure = Some("in a script after a string that its line does not close");
        }
        if byte == quote && !escape {
            (self.state, self.before_slash) = (State::Code, Slash::Division);
            return;
        }
        let escape = byte == b'\\' && !escape;
        self.state = State::String { quote, escape, markup: markup || byte == b'<' };
    }

    fn template(&mut self, byte: u8, escape: bool) {
        if byte == b'{' && self.last[2] == b'$' {
            self.unsure = Some("in a script after a template literal with ${…}; use quoted strings");
        }
        if byte == b'`' && !escape {
            (self.state, self.before_slash) = (State::Code, Slash::Division);
        } else {
            self.state = State::Template { escape: byte == b'\\' && !escape };
        }
    }

    fn regex(&mut self, byte: u8, escape: bool, class: bool) {
        self.state = match byte {
            b'\n' | b'\r' => {
                self.unsure = Some("in a script after a regular expression that its line does not close");
                State::Code
            }
            b'/' if !escape && !class => {
                self.before_slash = Slash::Division;
                State::Code
            }
            _ => State::Regex {
                escape: byte == b'\\' && !escape,
                class: if escape { class } else { byte == b'[' || class && byte != b']' },
            },
        };
    }
}
