/** What a claim on a volume says, in a claim itself and in the templates of pods and stateful sets. */
import { forbidden, invalid, required } from '../../../../kube/field-error.ts'
import { checkDns1123Subdomain } from '../../../../kube/names.ts'
import type { PersistentVolumeClaim } from '../../../../kube/types.ts'
import { keyed } from '../support.ts'
import { checkAnnotations, checkEach, checkLabels, checkOneOf, checkSelector, type Problems } from './meta.ts'
import { compareQuantities } from './quantities.ts'
import { checkQuantity } from './resources.ts'

const MODES = ['ReadOnlyMany', 'ReadWriteMany', 'ReadWriteOnce', 'ReadWriteOncePod']

type Spec = NonNullable<PersistentVolumeClaim['spec']>
type Origin = NonNullable<Spec['dataSource']>

export function checkClaimSpec(out: Problems, path: string, spec: Spec): void {
  checkSelector(out, `${path}.selector`, spec.selector)
  checkModes(out, `${path}.accessModes`, spec.accessModes, 'at least 1 access mode is required')
  const storage = spec.resources?.requests?.['storage']
  const field = keyed(`${path}.resources`, 'storage')
  if (storage === undefined) out.push(required(field))
  else checkSize(out, field, storage)
  for (const name of ['storageClassName', 'volumeAttributesClassName'] as const) {
    const value = spec[name]
    if (value) checkEach(out, `${path}.${name}`, value, checkDns1123Subdomain(value))
  }
  checkVolumeMode(out, `${path}.volumeMode`, spec.volumeMode)
  checkOrigins(out, path, spec)
}

export function checkModes(
  out: Problems,
  field: string,
  modes: readonly string[] | undefined,
  lacking: string,
): void {
  const given = modes ?? []
  if (given.length === 0) out.push(required(field, lacking))
  for (const mode of given) checkOneOf(out, field, mode, MODES)
  if (given.includes('ReadWriteOncePod') && given.length > 1) {
    out.push(forbidden(field, 'may not use ReadWriteOncePod with other access modes'))
  }
}

/** More than none, and a quantity. */
export function checkSize(out: Problems, field: string, size: string): void {
  const before = out.length
  checkQuantity(out, field, 'storage', size)
  if (out.length > before || compareQuantities(size, '0') > 0) return
  out.push(invalid(field, size, 'must be greater than zero'))
}

export function checkVolumeMode(out: Problems, field: string, mode: string | undefined): void {
  if (mode !== undefined) checkOneOf(out, field, mode, ['Block', 'Filesystem'])
}

function checkOrigins(out: Problems, path: string, { dataSource, dataSourceRef }: Spec): void {
  checkOrigin(out, `${path}.dataSource`, dataSource)
  checkOrigin(out, `${path}.dataSourceRef`, dataSourceRef)
  if (!dataSource || !dataSourceRef) return
  const shown = `${path}.dataSource`
  if (dataSourceRef.namespace) {
    const detail = 'may not be specified when dataSourceRef.namespace is specified'
    out.push(invalid(path, shown, detail))
    return
  }
  const isSame = (['apiGroup', 'kind', 'name'] as const).every(
    field => (dataSource[field] ?? '') === (dataSourceRef[field] ?? ''),
  )
  if (!isSame) out.push(invalid(path, shown, 'must match dataSourceRef'))
}

function checkOrigin(out: Problems, field: string, origin: Origin | undefined): void {
  if (!origin) return
  const { apiGroup = '', kind = '', name = '' } = origin
  if (name === '') out.push(required(`${field}.name`))
  if (kind === '') out.push(required(`${field}.kind`))
  if (apiGroup !== '') checkEach(out, `${field}.apiGroup`, apiGroup, checkDns1123Subdomain(apiGroup))
  else if (kind !== 'PersistentVolumeClaim') {
    const detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup"
    out.push(invalid(field, kind, detail))
  }
}

interface Template {
  metadata?: { labels?: Record<string, string>; annotations?: Record<string, string> }
  spec?: Spec
}

/** A claim that a pod brings with it: of its metadata only labels and annotations are its own. */
export function checkClaimTemplate(out: Problems, path: string, { metadata, spec }: Template): void {
  const field = `${path}.metadata`
  checkAnnotations(out, `${field}.annotations`, metadata?.annotations)
  checkLabels(out, `${field}.labels`, metadata?.labels)
  for (const [name, value] of Object.entries(metadata ?? {})) {
    if (name === 'annotations' || name === 'labels' || !value) continue
    out.push(forbidden(`${field}.${name}`, 'cannot be set'))
  }
  checkClaimSpec(out, `${path}.spec`, spec ?? {})
}
