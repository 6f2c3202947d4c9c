/** What admission is told of the request behind a write: the version asked for, its options, where to warn. */
import type { KubeObject } from '../../../kube/object.ts'
import type { RequestOrigin } from './commit.ts'
import { parseDeleteBody } from './decode-body.ts'
import type { RequestScope } from './scope.ts'

const KINDS: Readonly<Record<string, string>> = {
  CREATE: 'CreateOptions',
  UPDATE: 'UpdateOptions',
  DELETE: 'DeleteOptions',
}
const META = 'meta.k8s.io/v1'

export function originOf(scope: RequestScope, isCollection = false): RequestOrigin {
  return {
    resource: scope.resource,
    isCollection,
    options: operation => optionsOf(scope, operation),
    warn: text => scope.warnings.push(text),
    annotate: (key, value) => scope.auditAnnotations.set(key, value),
    waited(ms) {
      if (scope.waits !== undefined) scope.waits.ms += ms
    },
  }
}

/** The options of a patch are shown as those of what it turned out to be. */
function optionsOf(scope: RequestScope, operation: string): KubeObject {
  const { query } = scope
  const head = { kind: KINDS[operation] ?? '', apiVersion: META }
  const dryRun = query.getAll('dryRun').filter(one => one !== '')
  const common = dryRun.length === 0 ? {} : { dryRun }
  const options = operation === 'DELETE' ? deleteOptions(scope) : writeOptions(query)
  return { ...head, ...common, ...options } as unknown as KubeObject
}

function writeOptions(query: URLSearchParams): Record<string, unknown> {
  const out: Record<string, unknown> = {}
  for (const field of ['fieldManager', 'fieldValidation']) {
    const value = query.get(field)
    if (value) out[field] = value
  }
  return out
}

function deleteOptions(scope: RequestScope): Record<string, unknown> {
  const { query } = scope
  const body = scope.info.subresource === '' ? parseDeleteBody(scope) : null
  const { apiVersion: _version, kind: _kind, metadata: _metadata, ...sent } = body ?? ({} as KubeObject)
  const out: Record<string, unknown> = { ...sent }
  const seconds = query.get('gracePeriodSeconds')
  if (seconds !== null) out['gracePeriodSeconds'] ??= Number(seconds)
  const policy = query.get('propagationPolicy')
  if (policy !== null) out['propagationPolicy'] ??= policy
  const orphan = query.get('orphanDependents')
  if (orphan !== null) out['orphanDependents'] ??= orphan !== 'false' && orphan !== '0'
  return out
}
