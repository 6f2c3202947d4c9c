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
  const { stdout } = await runProgram('ctr', args, { timeoutMs: IMPORT_MS_MAX, ...input })
  const names = Array.from(stdout.matchAll(/^unpacking (\S+) \(/gm), match => match[1] ?? '')
  if (names.length > 0) return names
  throw new Mk8sError('config/invalid', 'the archive holds no image with a name for this machine', {
    hint: 'give it one, as docker save NAME:TAG does',
  })
}
