ºIAB1jrival.example‚	com.rivalbIAB25bIAB26-1¨
a8 *Jú:	image/png€¬
1x’en