//! The versions of VAST and in what they differ, after the public schemas: `vast_2.0.1.xsd`, `vast3_draft.xsd`,
//! `vast4.xsd`, `vast_4.1.xsd`, `vast_4.2.xsd`. For 4.3 there is no schema of its own; what is written here did not
//! change.

/// A version. They are ordered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Version {
    V2,
    V3,
    V4,
    V41,
    V42,
    V43,
}

impl Version {
    /// Every version, the newest first.
    pub(super) const NEWEST_FIRST: [Version; 6] =
        [Version::V43, Version::V42, Version::V41, Version::V4, Version::V3, Version::V2];

    /// `VAST@version`.
    pub(super) fn number(self) -> &'static str {
        match self {
            Version::V2 => "2.0",
            Version::V3 => "3.0",
            Version::V4 => "4.0",
            Version::V41 => "4.1",
            Version::V42 => "4.2",
            Version::V43 => "4.3",
        }
    }

    /// AdCOM "Creative Subtypes - Audio/Video".
    pub(super) fn protocol(self, wrapper: bool) -> i64 {
        let (inline, wrapped) = match self {
            Version::V2 => (2, 5),
            Version::V3 => (3, 6),
            Version::V4 => (7, 8),
            Version::V41 => (11, 12),
            Version::V42 => (13, 14),
            Version::V43 => (15, 16),
        };
        if wrapper { wrapped } else { inline }
    }

    /// 4.0 put the elements into another order and all of them into a namespace, and allowed several `Error`s.
    pub(super) fn is_modern(self) -> bool {
        self >= Version::V4
    }

    /// `skipoffset`, the event `skip` and `NonLinearClickTracking`.
    pub(super) fn knows_skip(self) -> bool {
        self >= Version::V3
    }

    /// `AdServingId`, and `adType` for audio.
    pub(super) fn knows_audio(self) -> bool {
        self >= Version::V41
    }
}
