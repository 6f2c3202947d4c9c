/** Decides what `install` has to do, as data: `--dry-run` prints it, `carry-out.ts` does it. Pure. */
import { MANAGER_WORDS, type Manager } from './service-manager.ts'

export type InstallStep =
  | { readonly kind: 'packages'; readonly names: readonly string[] }
  | { readonly kind: 'directory'; readonly path: string; readonly mode: number; readonly groupId?: number }
  | {
      readonly kind: 'file'
      readonly path: string
      readonly mode: number
      readonly content: string
      readonly purpose: string
    }
  | { readonly kind: 'keys'; readonly directory: string }
  | { readonly kind: 'kubeconfig'; readonly path: string }
  | { readonly kind: 'start'; readonly manager: Manager }
  | { readonly kind: 'restart' }
  | { readonly kind: 'ready'; readonly timeoutMs: number }

export interface WantedFile {
  readonly path: string
  readonly mode: number
  readonly content: string
  readonly purpose: string
  /** A file that is there already stays as it is, whatever it holds. */
  readonly keep: boolean
}

export interface InstallWanted {
  readonly dataDir: string
  readonly runDirectory: string
  readonly pkiDirectory: string
  readonly kubeconfig: string
  /** In the order of writing. The node's configuration comes last: with it, the node counts as installed. */
  readonly files: readonly WantedFile[]
  readonly manager: Manager
  readonly readyTimeoutMs: number
  readonly adminGroupId?: number
  /** Packages of the system to install first. */
  readonly packages?: readonly string[]
}

export interface InstallPresent {
  /** Mode bits by path, of directories that are there; where there are none, `as-made`. */
  readonly directoryModes: ReadonlyMap<string, number | 'as-made'>
  /** Content by path, of files that are there. */
  readonly files: ReadonlyMap<string, string>
  readonly serviceActive: boolean
}

const PRIVATE = 0o700
/** Lets the group reach the socket and the socket only. */
const PASSABLE = 0o710

export function planInstall(wanted: InstallWanted, present: InstallPresent): readonly InstallStep[] {
  const { adminGroupId } = wanted
  const mode = adminGroupId === undefined ? PRIVATE : PASSABLE
  const owner = adminGroupId === undefined ? {} : { groupId: adminGroupId }
  const directories = [wanted.dataDir, wanted.runDirectory]
    .filter(path => ![mode, 'as-made'].includes(present.directoryModes.get(path) ?? 'missing'))
    .map(path => ({ kind: 'directory' as const, path, mode, ...owner }))
  const files = wanted.files
    .filter(({ path, content, keep }) => {
      const found = present.files.get(path)
      return found === undefined || (!keep && found !== content)
    })
    .map(({ keep: _, ...file }) => ({ kind: 'file' as const, ...file }))
  const { packages = [] } = wanted
  return [
    ...(packages.length === 0 ? [] : [{ kind: 'packages' as const, names: packages }]),
    ...directories,
    { kind: 'keys', directory: wanted.pkiDirectory },
    { kind: 'kubeconfig', path: wanted.kubeconfig },
    ...files,
    present.serviceActive ? { kind: 'restart' } : { kind: 'start', manager: wanted.manager },
    { kind: 'ready', timeoutMs: wanted.readyTimeoutMs },
  ]
}

/** One line for `--dry-run` and for progress. */
export function describeStep(step: InstallStep): string {
  switch (step.kind) {
    case 'packages':
      return `install the packages ${step.names.join(', ')}`
    case 'directory':
      return `make the directory ${step.path} (mode ${step.mode.toString(8).padStart(4, '0')})`
    case 'file':
      return `write ${step.purpose} to ${step.path}`
    case 'keys':
      return `make the certificates and keys that ${step.directory} lacks`
    case 'kubeconfig':
      return `write the administrator's kubeconfig to ${step.path}`
    case 'start':
      return MANAGER_WORDS[step.manager].start
    case 'restart':
      return 'start the running daemon again, if it uses anything that was made anew; the pods go on running'
    case 'ready':
      return 'wait until the node is Ready'
  }
}
