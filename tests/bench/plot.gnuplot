# SPDX-License-Identifier: MIT
# data: report.py's plot data; output: an SVG. How fast each way is beside ip2vsock, which is 1.
set terminal svg size 900,420 dynamic background rgb 'white' font 'sans-serif,13' name 'performance'
set output output
set datafile separator '\t'
set style data histograms
set style histogram clustered gap 1
set style fill solid 0.9 border rgb '#ffffff'
set logscale y 2
set yrange [0.015:4]
set ytics ('4' 4, '2' 2, '1' 1, '1/2' 0.5, '1/4' 0.25, '1/8' 0.125, '1/16' 0.0625, '1/32' 0.03125)
set grid ytics lc rgb '#dddddd'
set xtics rotate by -25 nomirror
set ylabel 'speed, ip2vsock = 1'
set key outside top center horizontal
set title 'The same programs over TCP loopback, native AF\_VSOCK, ip2vsock and a socat pair'
plot data using 2:xtic(1) title 'TCP loopback' lc rgb '#9aa5b1', \
	'' using 3 title 'native AF\_VSOCK' lc rgb '#5b8db8', \
	'' using 4 title 'ip2vsock' lc rgb '#1b5e3b', \
	'' using 5 title 'socat pair' lc rgb '#c46a3a'
