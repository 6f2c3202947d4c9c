/**
 * What Node has no call for: device nodes, named pipes and extended attributes, made by Perl, which every Debian
 * has. All of a layer's at once.
 */
import { runProgram } from '../../../../../host/programs.ts'

export type SpecialFile =
  | { readonly kind: 'node'; readonly path: string; readonly mode: number; readonly device: number }
  | { readonly kind: 'attribute'; readonly path: string; readonly name: string; readonly value: Buffer }

const CHARACTER = 0o020000
const BLOCK = 0o060000
const PIPE = 0o010000
export const NODE_TYPES = { 'character-device': CHARACTER, 'block-device': BLOCK, fifo: PIPE } as const

/** Overlay's mark for what a lower layer has and this one does not. */
export const whiteout = (path: string): SpecialFile => ({ kind: 'node', path, mode: CHARACTER, device: 0 })

/** Overlay's mark for a directory that hides the one below it. */
export const opaque = (path: string): SpecialFile => ({
  ...{ kind: 'attribute', path, name: 'trusted.overlay.opaque' },
  value: Buffer.from('y'),
})

/** As the kernel packs them. */
export const deviceNumber = (major: number, minor: number): number =>
  (minor & 0xff) | ((major & 0xfff) << 8) | ((minor & ~0xff) << 12)

/** System calls by architecture: mknodat, lsetxattr. */
const CALLS = { x64: [259, 189], arm64: [33, 6] } as const

const SCRIPT = `
use strict; my ($mknodat, $lsetxattr) = @ARGV; local $/ = "\\0";
while (defined(my $line = <STDIN>)) {
  chomp $line; my ($kind, $path, @rest) = map { pack("H*", $_) } split(/ /, $line, -1);
  my $done = $kind eq "node"
    ? syscall($mknodat, -100, $path, $rest[0] + 0, $rest[1] + 0)
    : syscall($lsetxattr, $path, $rest[0], $rest[1], length($rest[1]), 0);
  die "$path: $!\\n" if $done != 0 && !($kind ne "node" && $!{EOPNOTSUPP});
}`

const MAKE_MS_MAX = 120_000

export async function makeSpecialFiles(files: readonly SpecialFile[]): Promise<void> {
  if (files.length === 0) return
  const [mknodat, lsetxattr] = CALLS[process.arch === 'arm64' ? 'arm64' : 'x64']
  const hex = (value: string | Buffer) => Buffer.from(value).toString('hex')
  const lines = files.map(file => {
    const rest = file.kind === 'node' ? [String(file.mode), String(file.device)] : [file.name, file.value]
    return `${[file.kind, file.path, ...rest].map(hex).join(' ')}\0`
  })
  const args = ['-MErrno', '-e', SCRIPT, String(mknodat), String(lsetxattr)]
  await runProgram('perl', args, { input: lines.join(''), timeoutMs: MAKE_MS_MAX })
}
