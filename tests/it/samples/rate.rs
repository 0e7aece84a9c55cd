//! How many requests one stands for follows the traffic.

use outbid::samples::Rate;

/// Seconds of a traffic in which one of `one_in` people is chosen, evenly; nothing is chosen above `room` a second.
fn run(rate: &mut Rate, requests_a_second: u64, seconds: u32, room: u64) -> u64 {
    let (mut kept, mut rest) = (0, 0);
    for _ in 0..seconds {
        let came = (requests_a_second + rest) / u64::from(rate.one_in());
        rest = (requests_a_second + rest) % u64::from(rate.one_in());
        rate.tick(came, came.saturating_sub(room));
        kept += came.min(room);
    }
    kept
}

#[test]
fn about_as_many_are_kept_as_are_wanted_whatever_comes() {
    for (requests, least, most) in
        [(1, 1, 1), (4, 1, 1), (100, 16, 32), (10_000, 2_048, 4_096), (1_000_000, 65_536, 65_536)]
    {
        let mut rate = Rate::new(4, 1);
        run(&mut rate, requests, 40, 32);
        assert!((least..=most).contains(&rate.one_in()), "{requests}: {}", rate.one_in());
        let kept = run(&mut rate, requests, 1_000, 32);
        assert!(kept <= 8_000 || rate.one_in() == 65_536, "{requests}: {kept}");
        assert!(kept >= 1_000, "{requests}: {kept}");
    }
}

#[test]
fn it_is_raised_at_once_and_lowered_slowly() {
    let mut rate = Rate::new(4, 3);
    assert_eq!(rate.one_in(), 4, "a power of two");
    rate.tick(400, 368);
    let raised = rate.one_in();
    assert_eq!(raised, 256);
    let mut seconds = 0;
    while rate.one_in() == raised {
        rate.tick(0, 0);
        seconds += 1;
    }
    assert!((60..=70).contains(&seconds), "{seconds}");
    for _ in 0..2_000 {
        rate.tick(0, 0);
    }
    assert_eq!(rate.one_in(), 4, "never below what is configured");
    for _ in 0..100 {
        rate.tick(1_000_000, 1_000_000);
    }
    assert_eq!(rate.one_in(), 65_536);
}
