/**
 * Tells the neighbours that an address is here now: gratuitous ARP, and unsolicited neighbour advertisements. Node has
 * no sockets for that; perl, which every Debian has, does.
 */

/** Arguments: interface index, hardware address, source address of the advertisements' frames, addresses. */
const PROGRAM = `
use strict; use warnings; use Socket;
my ($index, $hardware, @all) = @ARGV;
my $mac = pack("C6", map { hex } split(/:/, $hardware));
socket(my $out, 17, 3, 0) or die "no packet socket: $!";
sub say_it {
  my ($type, $to, $payload) = @_;
  my $place = pack("S n i S C C a8", 17, $type, $index, 0, 0, 6, $to);
  send($out, $to . $mac . pack("n", $type) . $payload, 0, $place) or die "cannot send: $!";
}
sub sum16 {
  my $sum = 0;
  $sum += $_ for unpack("n*", $_[0]);
  $sum = ($sum & 0xffff) + ($sum >> 16) while $sum >> 16;
  return ~$sum & 0xffff;
}
for my $text (@all) {
  if ($text =~ /:/) {
    my $address = Socket::inet_pton(AF_INET6, $text);
    my $group = Socket::inet_pton(AF_INET6, "ff02::1");
    my $body = pack("N", 0x20000000) . $address . pack("C C", 2, 1) . $mac;
    my $length = 4 + length($body);
    my $sum = sum16($address . $group . pack("N N", $length, 58) . pack("C C n", 136, 0, 0) . $body);
    my $head = pack("N n C C", 0x60000000, $length, 58, 255) . $address . $group;
    say_it(0x86dd, pack("H*", "333300000001"), $head . pack("C C n", 136, 0, $sum) . $body);
  } else {
    my $address = inet_aton($text);
    my $everybody = "\\xff" x 6;
    for my $kind (1, 2) {
      my $target = $kind == 1 ? "\\0" x 6 : $everybody;
      my $body = pack("n n C C n", 1, 0x0800, 6, 4, $kind) . $mac . $address . $target . $address;
      say_it(0x0806, $everybody, $body);
    }
  }
}
`

/** For perl; all addresses are on that one interface. */
export const neighbourArguments = (
  { index, hardware }: { readonly index: number; readonly hardware: string },
  addresses: readonly string[],
): string[] => ['-e', PROGRAM, String(index), hardware, ...addresses]
