/**
 * The shell scripts that start a container of the process runtime (pure text).
 *
 * The keeper is a POSIX shell that outlives the daemon: it runs the program, notes its exit code in a file, and
 * saves what is left in the log pipes when no daemon reads them. Where the program has an input, a child of the
 * keeper holds it open between clients. Inside it, with privileges, a mount namespace
 * gets an overlay of the host's root, so that volumes appear at their mount paths without touching the host.
 */
import type { ContainerSecurity, Mount } from '../runtime.ts'

/** Arguments: container directory, file with the daemon's process id, program and its arguments. */
export const KEEPER_SCRIPT = `
dir=$1 reader=$2
shift 2
trap : TERM INT HUP QUIT USR1 USR2 ALRM
echo $$ >"$dir/keeper"
if [ -p "$dir/stdin" ]; then
  exec 9>"$dir/stdin"
  sleep 2147483647 >&9 2>/dev/null </dev/null 9>&- &
  echo $! >"$dir/stdin-holder"
  exec 9>&-
fi
"$@"
code=$?
trap '' TERM INT HUP QUIT USR1 USR2 ALRM
if read -r pid <"$reader" && kill -0 "$pid"; then :; else
  dd if="$dir/stdout" iflag=nonblock bs=65536 of="$dir/stdout.rest"
  dd if="$dir/stderr" iflag=nonblock bs=65536 of="$dir/stderr.rest"
fi 2>/dev/null
echo "$code" >"$dir/exit"
exit "$code"
`

/** Without a mount namespace: note the process id and become the program. Arguments: see above, with cwd. */
export const PLAIN_SCRIPT = `
echo $$ >"$1/pid" || exit 128
cd "$2" || exit 128
shift 2
exec "$@"
`

/** How a file system of the host is shown inside. */
export interface Submount {
  readonly path: string
  readonly how: 'rbind' | 'bind' | 'overlay'
}

/** A mount whose path inside has no symbolic links, outermost first. */
export type ResolvedMount = Mount & { readonly isFile: boolean }

export interface MountPlan {
  /** The container's directory: `upper`, `work` and `root` are made in it. */
  readonly directory: string
  readonly mounts: readonly ResolvedMount[]
  readonly submounts: readonly Submount[]
}

/** In the container's directory: mount points of others, deepest first, each with a NUL behind it. */
export const FOREIGN_FILE = 'foreign-mounts'

// Where the disk's file system cannot be an upper layer (it is an overlay itself), memory serves.
const OVERLAY_FUNCTION = `
overlay() {
  mkdir -p "$2/upper" "$2/work"
  mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$3" 2>/dev/null && return
  mount -t tmpfs -o size=256m,mode=755 tmpfs "$2"
  mkdir "$2/upper" "$2/work"
  mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$3"
}`

// The process id is noted once the root is changed: whoever reads it may enter the container.
const BECOME = `'echo $$ >&9; exec 9>&-; cd "$0" || exit 128; exec "$@"'`

/** For `sh -c`, to run in the container's directory; arguments: working directory, program and its arguments. */
export const ENTER = 'cd "$0" || exit 128; exec "$@"'

/** Arguments of the script: working directory, program and its arguments. */
export function renderMountScript(plan: MountPlan, security: ContainerSecurity): string {
  const inside = (path: string) => quote(`${plan.directory}/root${path}`)
  const layer = (index: number) => quote(`${plan.directory}/layer-${index}`)
  // A mount of the host may go between the look at them and this.
  const submounts = plan.submounts.map(({ path, how }, index) =>
    how === 'overlay'
      ? `overlay ${quote(path)} ${layer(index + 1)} ${inside(path)}`
      : `mount --${how} ${quote(path)} ${inside(path)} || [ ! -e ${quote(path)} ] || [ ! -e ${inside(path)} ]`,
  )
  const foreign = quote(`${plan.directory}/${FOREIGN_FILE}`)
  return [
    `exec 8>&2 2>${quote(`${plan.directory}/setup-error`)}`,
    // They would live on as long as the container does. One may have gone by itself in the meantime.
    `[ ! -s ${foreign} ] || xargs -0 umount -l <${foreign} 2>/dev/null || :`,
    'set -e',
    OVERLAY_FUNCTION,
    `overlay / ${layer(0)} ${inside('')}`,
    ...submounts,
    ...plan.mounts.flatMap(mount => renderMount(mount, inside)),
    'exec 2>&8 8>&-',
    `exec 9>${quote(`${plan.directory}/pid`)}`,
    `exec chroot ${[...chrootOptions(security), inside('')].join(' ')} /bin/sh -c ${BECOME} "$@"`,
  ].join('\n')
}

function renderMount(mount: ResolvedMount, inside: (path: string) => string): string[] {
  const target = inside(mount.containerPath)
  const parent = inside(mount.containerPath.replace(/\/[^/]*$/, ''))
  const make = mount.isFile
    ? `[ -e ${target} ] || { mkdir -p ${parent}; : >${target}; }`
    : `[ -d ${target} ] || mkdir -p ${target}`
  const bind = `mount --rbind ${quote(mount.hostPath)} ${target}`
  return mount.readOnly ? [make, bind, `mount -o remount,bind,ro ${target}`] : [make, bind]
}

/** Whom chroot becomes. */
export function chrootOptions(security: ContainerSecurity): string[] {
  if (security.runAsUser === undefined && security.runAsGroup === undefined) return []
  const user = security.runAsUser ?? 0
  const group = security.runAsGroup ?? 0
  const groups = [group, ...(security.supplementalGroups ?? [])]
  return [`--userspec=${user}:${group}`, `--groups=${groups.join(',')}`]
}

/**
 * A shell command that runs the program inside a terminal which `script` has made: it prepares the terminal and
 * writes its process id and the terminal's path as one line to `report`, a word of the shell. `shell` is the
 * program's own SHELL, which `script` needs for itself.
 */
export function renderTerminalScript(parts: {
  readonly argv: readonly string[]
  readonly report: string
  readonly size?: { readonly width: number; readonly height: number } | undefined
  readonly shell: string | undefined
}): string {
  const { argv, report, size, shell } = parts
  const cells = size === undefined ? '' : ` rows ${size.height} cols ${size.width}`
  return [
    `stty sane${cells}`,
    `echo "$$ $(tty)" >${report}`,
    'exec 3>&-',
    shell === undefined ? 'unset SHELL' : `SHELL=${quote(shell)}`,
    `exec ${argv.map(quote).join(' ')}`,
  ].join('; ')
}

/** A word for the shell. */
export function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`
}

interface MountPoint {
  readonly path: string
  readonly type: string
}

function mountPoints(mountinfo: string): MountPoint[] {
  return mountinfo
    .split('\n')
    .map(line => line.split(' '))
    .map(fields => ({ path: fields[4] ?? '', type: fields[fields.indexOf('-') + 1] ?? '' }))
    .filter(({ path }) => path.startsWith('/') && path !== '/')
    .map(({ path, type }) => ({ path: unescapeOctal(path), type }))
}

const unescapeOctal = (path: string) =>
  path.replaceAll(/\\([0-7]{3})/g, (_all, code) => String.fromCharCode(parseInt(code, 8)))

/**
 * From /proc/self/mountinfo: the mount points that belong to others' containers, deepest first. Kept network
 * namespaces are, and what lies in the data directory of another node.
 */
export function foreignMounts(mountinfo: string, isOtherNode: (directory: string) => boolean): string[] {
  const inOtherNode = (path: string): boolean =>
    path !== '/' && (isOtherNode(path) || inOtherNode(path.replace(/\/[^/]*$/, '') || '/'))
  const foreign = mountPoints(mountinfo).filter(({ path, type }) => type === 'nsfs' || inOtherNode(path))
  return foreign.map(({ path }) => path).reverse()
}

/**
 * From /proc/self/mountinfo: which of the host's mounts to show inside. Only the outermost of those that are
 * bound with what lies under them. One that is to get new mount points is overlaid, so that they stay off the host.
 */
export function planSubmounts(parts: {
  readonly mountinfo: string
  readonly directory: string
  /** Mount paths that do not exist on the host. */
  readonly missing: readonly string[]
  /** From `foreignMounts`. */
  readonly foreign?: readonly string[]
}): Submount[] {
  const foreign = new Set(parts.foreign)
  const points = mountPoints(parts.mountinfo)
    .map(({ path }) => path)
    .filter(path => !foreign.has(path))
  const outermost: Submount[] = []
  for (const point of [...new Set(points)].sort((a, b) => a.length - b.length)) {
    if (outermost.some(outer => outer.how === 'rbind' && point.startsWith(`${outer.path}/`))) continue
    const isGrowing = parts.missing.some(path => path.startsWith(`${point}/`))
    const holdsUs = parts.directory.startsWith(`${point}/`)
    outermost.push({ path: point, how: isGrowing ? 'overlay' : holdsUs ? 'bind' : 'rbind' })
  }
  return outermost
}
