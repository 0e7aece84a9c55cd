"&Bradiob:IAB1â
1
2²gšent
a5!z°

audio/mpegÀ"¸
1