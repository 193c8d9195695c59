# SPDX-License-Identifier: MIT
# head.pl HOST: prints the first line of what a web server there answers. perl-base is enough.
use strict;
use warnings;
use IO::Socket::INET;

my $server = IO::Socket::INET->new(PeerAddr => $ARGV[0], PeerPort => 80) or die "connect: $@";
print $server "HEAD / HTTP/1.0\r\n\r\n";
my $line = <$server>;
$line =~ s/\r\n//;
print $line;
