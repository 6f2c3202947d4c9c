/** Hands image archives to containerd with `ctr`, its own tool, which comes with it. */
import { Mk8sError } from '../../base/errors.ts'
import { runProgram } from '../../host/programs.ts'

/** Where CRI looks for images. */
const NAMESPACE = 'k8s.io'
const IMPORT_MS_MAX = 600_000

export interface ImportSource {
  /** A file, or the bytes of an archive: docker's or OCI's, compressed or not. */
  readonly archive: string | Uint8Array
}

/** Returns the names of the images that were in it. */
export async function importArchive(
  socketPath: string,
  { archive }: ImportSource,
): Promise<readonly string[]> {
  const isFile = typeof archive === 'string'
  const file = isFile ? archive : '-'
  const args = ['--address', socketPath, '--namespace', NAMESPACE, 'images', 'import', file]
  const input = isFile ? {} : { input: archive }
  const options = { timeoutMs: IMPORT_MS_MAX, accept: 'any' as const, ...input }
  const { stdout, stderr, exitCode } = await runProgram('ctr', args, options)
  if (exitCode !== 0) throw refusal(stderr, isFile ? archive : 'the archive')
  const names = Array.from(stdout.matchAll(/^unpacking (\S+) \(/gm), match => match[1] ?? '')
  if (names.length > 0) return names
  throw new Mk8sError('config/invalid', 'the archive holds no image with a name for this machine', {
    hint: 'give it one, as docker save NAME:TAG does',
  })
}

/** containerd's tool says nothing of which file it is about when it cannot make sense of it. */
function refusal(said: string, archive: string): Mk8sError {
  const why = said.trim().replace(/^ctr: /, '') || 'ctr does not say why'
  const hint = 'an image archive is what docker save or an OCI tool writes'
  return new Mk8sError('config/invalid', `${archive} cannot be imported`, { why, hint })
}
