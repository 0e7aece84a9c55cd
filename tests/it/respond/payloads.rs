//! What attackers put into a page's URL, a domain or a bundle, for trial C6. What would run in a browser sets
//! `__pwned` of the window that watches (`browser.html`).

/// One for each way out of a place that a value may stand in.
#[rustfmt::skip]
pub(super) const PAYLOADS: [&str; 60] = [
    // Elements in text.
    "<script>top.__pwned=1</script>",
    "<ScRiPt >top.__pwned=1</sCrIpT\t>",
    "<script\0>top.__pwned=1</script>",
    "<img src=x onerror=top.__pwned=1>",
    "<img/src=x/onerror=top.__pwned=1>",
    "<svg onload=top.__pwned=1>",
    "<svg><script>top.__pwned=1</script></svg>",
    "<svg><animate onbegin=top.__pwned=1 attributeName=x dur=1s>",
    "<math><mtext></p><img src=x onerror=top.__pwned=1></mtext></math>",
    "<iframe srcdoc=\"<script>top.__pwned=1</script>\"></iframe>",
    "<iframe src=javascript:top.__pwned=1></iframe>",
    "<object data=\"javascript:top.__pwned=1\"></object>",
    "<input autofocus onfocus=top.__pwned=1>",
    "<details open ontoggle=top.__pwned=1>",
    "<style>@keyframes a{}p{animation:a}</style><p onanimationstart=top.__pwned=1>",
    "<noscript><p title=\"</noscript><img src=x onerror=top.__pwned=1>\">",
    "<base href=\"javascript:/a/-top.__pwned/-1/\">",
    "<meta http-equiv=refresh content=\"0;url=javascript:top.__pwned=1\">",
    // Out of elements whose content is no markup.
    "</p></div></title><script>top.__pwned=1</script>",
    "</title><img src=x onerror=top.__pwned=1>",
    "</textarea></style></noscript><script>top.__pwned=1</script>",
    "</script><script>top.__pwned=1</script>",
    "</script/><img src=x onerror=top.__pwned=1>",
    "--><script>top.__pwned=1</script><!--",
    "--!><img src=x onerror=top.__pwned=1>",
    "<!--<script>",
    // Out of attributes.
    "\"><script>top.__pwned=1</script>",
    "'><script>top.__pwned=1</script>",
    "`><script>top.__pwned=1</script>",
    "\" onerror=\"top.__pwned=1\" x=\"",
    "' onerror='top.__pwned=1' x='",
    "\" src=x onerror=top.__pwned=1 autofocus onfocus=top.__pwned=1 ",
    "x\tonload=top.__pwned=1\n\x0confocus=top.__pwned=1\r",
    // Schemes of URLs.
    "javascript:top.__pwned=1",
    "  JaVaScRiPt:top.__pwned=1",
    "java\tscript\n:top.__pwned=1",
    "\u{1}javascript:top.__pwned=1",
    "data:text/html,<script>top.__pwned=1</script>",
    "//evil.example/%0d%0aSet-Cookie:%20a=b#?&u=x",
    "https://news.example/\r\nX-Header: 1?a=1&b=2&amp;c=3+4%20%zz%",
    // Out of strings of scripts.
    "';top.__pwned=1;//",
    "\";top.__pwned=1;//",
    "\\';top.__pwned=1;//",
    "\\\";top.__pwned=1;//",
    "'-(top.__pwned=1)-'",
    "\\",
    "${top.__pwned=1}`${top.__pwned=1}`",
    "\u{2028}top.__pwned=1\u{2029}top.__pwned=1//",
    "\\u0027;top.__pwned=1;//\\x27;\\47;",
    "\ntop.__pwned=1\r\ntop.__pwned=1//",
    // Out of XML and JSON.
    "]]></AdTitle><script xmlns=\"http://www.w3.org/1999/xhtml\">top.__pwned=1</script><![CDATA[",
    "<?xml version=\"1.0\"?><!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]>&b;",
    "</Impression><Impression>https://evil.example/\u{fffe}\u{ffff}\0\u{b}\u{1b}\u{7f}\u{85}",
    "\"},{\"id\":9,\"title\":{\"text\":\"\\\"}],\"link\":{\"url\":\"javascript:top.__pwned=1\"}}",
    // Decoded a second time by somebody.
    "&lt;script&gt;top.__pwned=1&lt;/script&gt;&#39;&#x22;&quot;&apos;&NewLine;&colon;",
    "%3Cscript%3Etop.__pwned=1%3C/script%3E%2527%2522%00",
    "+ADw-script+AD4-top.__pwned=1+ADw-/script+AD4-\u{feff}",
    // Macros: of the exchange, and ours.
    "${AUCTION_PRICE}${AUCTION_PRICE:B64}%24%7BAUCTION_PRICE%7D$\u{7b}AUCTION_ID}[CACHEBUSTING]%%CLICK%%",
    "{{CLICK_URL}}{{{{PAGE_URL}}}}{{PAGE_URL}}}}{%raw%}<%=7*7%>#{7*7}",
    // Letters that only look harmless.
    "\u{202e}\u{2066}gpj.\u{200f}<\u{ff1c}script\u{ff1e}\u{2019}\u{201d}\u{ff02}\u{ff07}\u{2f}\u{10ffff}\u{1f4a9}\u{e0001}\u{aa}'\"",
];
