//! Where each bucket of a shard begins, in little more than two bytes a bucket: a line of the cache has a base of four bytes
//! and thirty distances from it.
//!
//! Half the bytes are not the point; that what is asked first by every lookup stays in the processor's caches is: 7 MB
//! for 10 million users. And it is one line, on one page, that a lookup has to wait for.

/// Buckets that share a base.
const SPAN: usize = 30;

/// A line of the cache.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct Span {
    base: u32,
    distances: [u16; SPAN],
}

const _: () = assert!(size_of::<Span>() == 64);

/// See the module.
#[derive(Debug)]
pub(super) enum Offsets {
    /// As the module says, and how many there are.
    Near(Box<[Span]>, usize),
    /// Buckets so large that some distance does not fit: four bytes each.
    Far(Box<[u32]>),
}

impl Offsets {
    /// Of ascending offsets, the end of the last bucket included; anything else is kept as it is.
    pub(super) fn pack(offsets: &[u32]) -> Offsets {
        let span = |offsets: &[u32]| {
            let mut span = Span { base: *offsets.first()?, distances: [0; SPAN] };
            for (distance, offset) in span.distances.iter_mut().zip(offsets) {
                *distance =
                    offset.checked_sub(span.base).and_then(|distance| u16::try_from(distance).ok())?;
            }
            Some(span)
        };
        let spans: Option<Box<[Span]>> = offsets.chunks(SPAN).map(span).collect();
        match spans {
            Some(spans) => Offsets::Near(spans, offsets.len()),
            None => Offsets::Far(offsets.into()),
        }
    }

    /// How many there are: one more than buckets.
    pub(super) fn len(&self) -> usize {
        match self {
            Offsets::Near(_, len) => *len,
            Offsets::Far(offsets) => offsets.len(),
        }
    }

    /// # Panics
    /// Where `place` is far above [`Offsets::len`].
    #[inline]
    pub(super) fn at(&self, place: usize) -> usize {
        match self {
            Offsets::Near(spans, _) => {
                let Span { base, distances } = &spans[place / SPAN];
                *base as usize + usize::from(distances[place % SPAN])
            }
            Offsets::Far(offsets) => offsets[place] as usize,
        }
    }

    /// All of them, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> + Clone {
        (0..self.len()).map(|place| self.at(place) as u32)
    }

    /// Bytes that they take.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Offsets::Near(spans, _) => size_of_val(&**spans),
            Offsets::Far(offsets) => size_of_val(&**offsets),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn offsets_come_back_near_and_far(lengths in prop::collection::vec(0..4_000_u32, 0..200), far: bool) {
            let widen = if far { 1_000 } else { 1 };
            let mut offsets = vec![0];
            offsets.extend(lengths.iter().scan(0, |end, length| {
                *end += length * widen;
                Some(*end)
            }));
            let packed = Offsets::pack(&offsets);
            prop_assert_eq!(packed.len(), offsets.len());
            prop_assert!(packed.iter().eq(offsets.iter().copied()));
        }

        #[test]
        fn what_does_not_ascend_is_kept_as_it_is(offsets in prop::collection::vec(any::<u32>(), 0..100)) {
            prop_assert!(Offsets::pack(&offsets).iter().eq(offsets.iter().copied()));
        }
    }

    #[test]
    fn near_offsets_take_little_more_than_two_bytes() {
        let offsets: Vec<u32> = (0..=32_000).map(|bucket| bucket * 110).collect();
        assert!(Offsets::pack(&offsets).bytes() < 32_000 * 2 + 32_000 / 7);
        assert!(matches!(Offsets::pack(&[0, 70_000, 70_001]), Offsets::Far(_)));
    }
}
