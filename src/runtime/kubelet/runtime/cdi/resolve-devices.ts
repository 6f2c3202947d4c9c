/** Which edits the CDI devices of a container stand for, out of all specifications of a machine (pure). */
import { Mk8sError } from '../../../../base/errors.ts'
import { parseName } from './cdi-names.ts'
import type { CdiEdits, CdiSpec } from './cdi-spec.ts'

export interface CdiFile {
  readonly path: string
  /** A device in a directory that is read later stands for the one of the same name before. */
  readonly priority: number
  readonly spec: CdiSpec
}

interface Found {
  readonly file: CdiFile
  readonly edits: CdiEdits
}

/** Edits of a file come before those of its devices, and once. `problems`: of files that could not be read. */
export function resolveDevices(
  ids: readonly string[],
  { files, problems }: { readonly files: readonly CdiFile[]; readonly problems: readonly string[] },
): readonly CdiEdits[] {
  const edits: CdiEdits[] = []
  const seen = new Set<CdiFile>()
  const unknown: string[] = []
  const reasons = [...problems]
  for (const id of new Set(ids)) {
    const found = findDevice(id, files)
    if (typeof found === 'string') reasons.push(found)
    if (found === null || typeof found === 'string') {
      unknown.push(id)
      continue
    }
    const { containerEdits } = found.file.spec
    if (!seen.has(found.file) && containerEdits) edits.push(containerEdits)
    seen.add(found.file)
    edits.push(found.edits)
  }
  if (unknown.length === 0) return edits
  throw new Mk8sError('kubelet/runtime', `unresolvable CDI devices ${unknown.join(', ')}`, {
    ...(reasons.length > 0 ? { why: reasons.join('\n') } : {}),
    hint: 'put a specification that has them into /etc/cdi or /var/run/cdi of the node',
  })
}

/** A text says why it is not to be had although it is there. */
function findDevice(id: string, files: readonly CdiFile[]): Found | string | null {
  const name = parseName(id)
  const all = files.flatMap(file => {
    const device = file.spec.devices.find(each => each.name === name.device)
    return device && file.spec.kind === name.kind ? [{ file, edits: device.containerEdits }] : []
  })
  const best = Math.max(...all.map(({ file }) => file.priority))
  const [first, other] = all.filter(({ file }) => file.priority === best)
  if (first === undefined) return null
  if (other === undefined) return first
  return `${id} is in two files: ${first.file.path}, ${other.file.path}`
}
