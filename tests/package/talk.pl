# SPDX-License-Identifier: MIT
# talk.pl serve | fetch HOST PORT: a TCP server for one client, on port 80, and its client. perl-base is enough.
use strict;
use warnings;
use IO::Socket::INET;
use Socket;

if ($ARGV[0] eq 'serve') {
	my $listener = IO::Socket::INET->new(LocalPort => 80, Listen => 5, ReuseAddr => 1) or die "listen: $@";
	my $client = $listener->accept or die "accept: $!";
	my $asked = <$client>;
	print $client "served by perl to ", $client->peerhost, "\n";
} else {
	my $server = IO::Socket::INET->new(PeerAddr => $ARGV[1], PeerPort => $ARGV[2]) or die "connect: $@";
	print $server "which?\n";
	print <$server>;
}
