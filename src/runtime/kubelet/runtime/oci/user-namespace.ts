/**
 * User namespaces of pods: where this machine can have them, and file systems whose owners are seen as the pod's own
 * (mounts with ids of their own, which neither crun nor runc have to know of).
 */
import { Mk8sError } from '../../../../base/errors.ts'
import { runProgram } from '../../../../host/programs.ts'
import type { IdRange } from '../runtime.ts'
import { PROGRAM_ENVIRONMENT } from './conmon.ts'

export interface UserNamespaceHost {
  /** Of the kernel. */
  readonly release: string
  /** `/proc/sys/user/max_user_namespaces`; empty where there is none. */
  readonly namespacesMax: string
}

/** Memory can be mounted with other ids from here on, as upstream asks for. */
const KERNEL = [6, 3] as const

/** Pure. */
export function hasUserNamespaces({ release, namespacesMax }: UserNamespaceHost): boolean {
  const [major = 0, minor = 0] = release.split('.').map(part => Number.parseInt(part, 10))
  const isNew = major > KERNEL[0] || (major === KERNEL[0] && minor >= KERNEL[1])
  return isNew && Number(namespacesMax) > 0
}

/** What the OCI specification calls it, with the user namespace that it belongs to. */
export function renderMappings(range: IdRange | undefined): object {
  if (range === undefined) return {}
  const mapping = [{ containerID: 0, hostID: range.first, size: range.count }]
  return { uidMappings: mapping, gidMappings: mapping }
}

/** The one of a pod. */
export interface UserNamespace {
  /** Holds it open. */
  readonly file: string
  readonly range: IdRange
}

export interface MappedMount {
  readonly source: string
  readonly target: string
}

/**
 * The first argument is a file of the namespace, then come sources and targets. mount(8) of Debian 12 cannot do this:
 * open_tree 428, move_mount 429 and mount_setattr 442 have these numbers on all machines.
 */
const MAP = `
use strict;
open(my $ns, '<', shift @ARGV) or die "$!\\n";
my ($none, $set) = ('', pack('QQQQ', 0x100000, 0, 0, fileno($ns)));
while (my ($source, $target) = splice(@ARGV, 0, 2)) {
  my $tree = syscall(428, -100, $source, 0x88001);
  die "open_tree $source: $!\\n" if $tree < 0;
  die "failed to set MOUNT_ATTR_IDMAP on $source: $! (maybe the filesystem used doesn't support idmap mounts on this kernel?)\\n"
    if syscall(442, $tree, $none, 0x9000, $set, 32) < 0;
  die "move_mount $target: $!\\n" if syscall(429, $tree, $none, -100, $target, 4) < 0;
}
`

/** Each source, with what is mounted below it, at its target, which has to be there. */
export async function mountMapped(namespace: string, mounts: readonly MappedMount[]): Promise<void> {
  if (mounts.length === 0) return
  const places = mounts.flatMap(({ source, target }) => [source, target])
  const ran = await runProgram('perl', ['-e', MAP, namespace, ...places], {
    accept: 'any',
    env: PROGRAM_ENVIRONMENT,
  })
  if (ran.exitCode !== 0) throw new Mk8sError('kubelet/runtime', ran.stderr.trim())
}
