/**
 * A bundle: the definition and the manifests of one version of an add-on, as every server finds them in the cluster,
 * in a ConfigMap that is named after its contents. So an add-on can be repaired by any leader, of any version of mk8s,
 * and after a restore.
 */
import { createHash } from 'node:crypto'
import { gunzipSync, gzipSync } from 'node:zlib'
import { Mk8sError } from '../../base/errors.ts'
import type { ConfigMap } from '../../kube/types.ts'
import { BUNDLE_LABEL } from './addon-object.ts'
import { type AddonDefinition, parseDefinition } from './definition.ts'
import type { AddonFiles } from './render-manifests.ts'

export const BUNDLE_NAMESPACE = 'kube-system'
export const DEFINITION_FILE = 'addon.yaml'
/** As it is stored; a ConfigMap may have 1 MiB. */
export const BUNDLE_BYTES_MAX = 700 * 1024
const UNPACKED_BYTES_MAX = 16 * 1024 * 1024
const KEY = 'bundle'

export interface AddonSource {
  readonly definition: AddonDefinition
  /** By path relative to the add-on's directory, addon.yaml among them. */
  readonly files: AddonFiles
}

export function readSource(files: AddonFiles, where: string): AddonSource {
  const text = files[DEFINITION_FILE]
  if (text === undefined) throw new Mk8sError('config/invalid', `${where} has no ${DEFINITION_FILE}`)
  return { definition: parseDefinition(text, `${where}/${DEFINITION_FILE}`), files }
}

/** The ConfigMap of this version; equal files make an equal one. */
export function bundleMap({ definition, files }: AddonSource): ConfigMap {
  const sorted = Object.fromEntries(Object.entries(files).sort(([a], [b]) => (a < b ? -1 : 1)))
  const packed = gzipSync(JSON.stringify(sorted), { level: 9 })
  if (packed.length > BUNDLE_BYTES_MAX)
    throw new Mk8sError('config/invalid', `the add-on ${definition.name} is too large`, {
      why: `its files have ${packed.length} bytes compressed; ${BUNDLE_BYTES_MAX} are the limit`,
    })
  const sum = createHash('sha256').update(JSON.stringify(sorted)).digest('hex')
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: {
      name: `mk8s-addon-${definition.name}-${sum.slice(0, 12)}`,
      namespace: BUNDLE_NAMESPACE,
      labels: { 'app.kubernetes.io/managed-by': 'mk8s', [BUNDLE_LABEL]: definition.name },
      annotations: { 'addons.mk8s.io/version': definition.version },
    },
    immutable: true,
    binaryData: { [KEY]: packed.toString('base64') },
  }
}

export function readBundle(map: ConfigMap): AddonSource {
  const name = map.metadata.name ?? ''
  const packed = Buffer.from(map.binaryData?.[KEY] ?? '', 'base64')
  const text = gunzipSync(packed, { maxOutputLength: UNPACKED_BYTES_MAX }).toString('utf8')
  return readSource(JSON.parse(text) as AddonFiles, `ConfigMap ${BUNDLE_NAMESPACE}/${name}`)
}
