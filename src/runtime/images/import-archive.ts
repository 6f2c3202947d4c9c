/** Hands image archives to containerd with `ctr`, its own tool, which comes with it. */
import type { Readable } from 'node:stream'
import { Mk8sError } from '../../base/errors.ts'
import { runProgram } from '../../host/programs.ts'

/** Where CRI looks for images. */
const NAMESPACE = 'k8s.io'
const IMPORT_MS_MAX = 600_000

export interface ImportSource {
  /** The bytes of an archive, docker's or OCI's. */
  readonly archive: Uint8Array | Readable
}

/** Returns the names of the images that were in it. */
export async function importArchive(
  socketPath: string,
  { archive }: ImportSource,
): Promise<readonly string[]> {
  const args = ['--address', socketPath, '--namespace', NAMESPACE, 'images', 'import', '-']
  const options = { timeoutMs: IMPORT_MS_MAX, accept: 'any' as const, input: archive }
  const { stdout, stderr, exitCode } = await runProgram('ctr', args, options)
  if (exitCode !== 0) throw refusal(stderr)
  const names = Array.from(stdout.matchAll(/^unpacking (\S+) \(/gm), match => match[1] ?? '')
  if (names.length > 0) return names
  throw new Mk8sError('config/invalid', 'the archive holds no image with a name for this machine', {
    hint: 'give it one, as docker save NAME:TAG does',
  })
}

/** Writes them as one OCI archive; their names are in the long form. */
export async function exportArchive(
  socketPath: string,
  names: readonly string[],
  file: string,
): Promise<void> {
  const args = ['--address', socketPath, '--namespace', NAMESPACE, 'images', 'export', file, ...names]
  const { stderr, exitCode } = await runProgram('ctr', args, { timeoutMs: IMPORT_MS_MAX, accept: 'any' })
  if (exitCode === 0) return
  const why = stderr.trim().replace(/^ctr: /, '') || 'ctr does not say why'
  throw new Mk8sError('refused', `${names.join(', ')} cannot be exported`, { why, hint: 'mk8s images list' })
}

/** containerd's tool says nothing of which file it is about when it cannot make sense of it. */
function refusal(said: string): Mk8sError {
  const why = said.trim().replace(/^ctr: /, '') || 'ctr does not say why'
  const hint = 'an image archive is what docker save or an OCI tool writes'
  return new Mk8sError('config/invalid', 'the archive cannot be imported', { why, hint })
}
