#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| outbid_fuzz::read_consent(data));
