/**
 * Connections that Node cannot open: conmon's sockets, which keep messages apart, and ports inside a pod's network.
 * A small Perl program, which every Debian can run, takes them over and speaks through pipes.
 */
import { Duplex } from 'node:stream'
import { Mk8sError } from '../../../../base/errors.ts'
import { type RelayProcess, spawnRelay } from '../../../../host/programs.ts'
import { PROGRAM_ENVIRONMENT } from './conmon.ts'

const COPY = `
use strict; use Socket; use IO::Select; use Errno qw(EINTR);
sub put { my ($to, $data) = @_; my $at = 0;
  while ($at < length $data) { my $n = syswrite($to, $data, length($data) - $at, $at);
    next if !defined $n && $!{EINTR}; exit 0 unless defined $n; $at += $n; } }
$| = 1; $SIG{PIPE} = "IGNORE";
`

/** Messages begin with the number of the stream that they belong to. */
const ATTACH = `${COPY}
chdir $ARGV[0] or die "$!\\n";
socket(S, AF_UNIX, SOCK_SEQPACKET, 0) && connect(S, sockaddr_un("attach")) or die "$!\\n";
syswrite(STDERR, "\\0");
my $s = IO::Select->new(\\*S, \\*STDIN);
while (1) { for my $from ($s->can_read) {
  if ($from == \\*STDIN) { my $n = sysread(STDIN, my $d, 8192);
    if ($n) { put(\\*S, $d) } else { $s->remove(\\*STDIN); shutdown(S, 1) if $ARGV[1] } }
  else { my $n = sysread(S, my $d, 65536); exit 0 unless $n;
    my $to = ord($d) == 3 ? \\*STDERR : \\*STDOUT; put($to, substr($d, 1)) if $n > 1 } } }
`

const CONNECT = `${COPY}
my $done = 0;
socket(S, AF_INET, SOCK_STREAM, 0) && connect(S, sockaddr_in($ARGV[0], inet_aton("127.0.0.1"))) and $done = 1;
$done or close(S), socket(S, AF_INET6, SOCK_STREAM, 0)
  && connect(S, Socket::sockaddr_in6($ARGV[0], Socket::IN6ADDR_LOOPBACK())) and $done = 1;
$done or die "connection refused\\n";
syswrite(STDERR, "\\0");
my $s = IO::Select->new(\\*S, \\*STDIN);
while ($s->count) { for my $from ($s->can_read) {
  if ($from == \\*STDIN) { my $n = sysread(STDIN, my $d, 65536);
    if ($n) { put(\\*S, $d) } else { $s->remove(\\*STDIN); shutdown(S, 1) } }
  else { my $n = sysread(S, my $d, 65536);
    if ($n) { put(\\*STDOUT, $d) } else { exit 0 } } } }
`

/** Resolves once it is connected. `endsInput`: the end of what is written is the end of the container's input. */
export async function openAttach(
  directory: string,
  { endsInput }: { endsInput: boolean },
): Promise<RelayProcess> {
  const args = ['-e', ATTACH, directory, endsInput ? '1' : '']
  return connected(await spawnRelay('perl', args, PROGRAM_ENVIRONMENT), 'the container cannot be attached to')
}

/** From inside the namespace, so that what listens on loopback only is reached too. */
export async function openPort(netns: string | undefined, port: number): Promise<Duplex> {
  const enter = netns === undefined ? [] : ['nsenter', `--net=${netns}`]
  const [program = '', ...args] = [...enter, 'perl', '-e', CONNECT, String(port)]
  const relay = await spawnRelay(program, args, PROGRAM_ENVIRONMENT)
  return new RelayedPort(
    await connected(
      relay,
      `failed to execute portforward: failed to connect to localhost:${port} inside the pod`,
    ),
  )
}

/** Both directions end one by one. */
class RelayedPort extends Duplex {
  readonly #relay: RelayProcess

  constructor(relay: RelayProcess) {
    super({ allowHalfOpen: true })
    this.#relay = relay
    relay.stdout.on('data', (chunk: Buffer) => {
      if (!this.push(chunk)) relay.stdout.pause()
    })
    relay.stdout.once('end', () => this.push(null))
  }

  override _read(): void {
    this.#relay.stdout.resume()
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#relay.stdin.write(chunk, done)
  }

  override _final(done: () => void): void {
    this.#relay.stdin.end(() => done())
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#relay.kill()
    done(error)
  }
}

/** It writes one NUL to its errors when it is connected, and why when it is not. */
async function connected(relay: RelayProcess, message: string): Promise<RelayProcess> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  let said = ''
  const onData = (chunk: Buffer) => {
    if (chunk[0] !== 0) {
      said += chunk.toString()
      return
    }
    relay.stderr.off('data', onData)
    relay.stderr.pause()
    if (chunk.length > 1) relay.stderr.unshift(chunk.subarray(1))
    resolve()
  }
  relay.stderr.on('data', onData)
  void relay.exited.then(() => reject(new Mk8sError('kubelet/runtime', `${message}: ${said.trim()}`)))
  await promise
  return relay
}
