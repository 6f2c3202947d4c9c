/** DeleteOptions: from the body or the query, checked as upstream checks them; pure. */
import { type FieldError, invalid as invalidField, notSupported } from '../../../kube/field-error.ts'
import type { KubeObject } from '../../../kube/object.ts'
import { invalid } from '../../../kube/status.ts'
import { parseBoolean, parseInteger } from './list-options.ts'
import { dryRunOf } from './write-options.ts'

export interface DeleteOptions {
  /** Null: what the kind does by itself. */
  readonly gracePeriodSeconds: number | null
  readonly propagation: 'Orphan' | 'Background' | 'Foreground' | null
  readonly preconditions: { readonly uid?: string; readonly resourceVersion?: string }
  readonly dryRun: boolean
}

interface RawOptions {
  gracePeriodSeconds?: number | null
  propagationPolicy?: string | null
  orphanDependents?: boolean | null
  preconditions?: { uid?: string; resourceVersion?: string } | null
  dryRun?: string[] | null
}

const kind = { group: 'meta.k8s.io', kind: 'DeleteOptions' }
const policies = ['Orphan', 'Background', 'Foreground']

/** A body wins over the query, as upstream. Throws 422. */
export function parseDeleteOptions(query: URLSearchParams, body: KubeObject | null): DeleteOptions {
  const raw: RawOptions = body === null ? fromQuery(query) : (body as RawOptions)
  const errors: FieldError[] = []
  const policy = raw.propagationPolicy ?? null
  const orphan = raw.orphanDependents ?? null
  if (policy !== null && orphan !== null) {
    errors.push(
      invalidField(
        'propagationPolicy',
        policy,
        'orphanDependents and deletionPropagation cannot be both set',
      ),
    )
  }
  if (policy !== null && !policies.includes(policy))
    errors.push(notSupported('propagationPolicy', policy, policies))
  const grace = raw.gracePeriodSeconds ?? null
  if (errors.length > 0) throw invalid(kind, '', errors)
  const { uid, resourceVersion } = raw.preconditions ?? {}
  return {
    gracePeriodSeconds: grace !== null && grace < 0 ? 1 : grace,
    propagation: policy === null ? fromOrphan(orphan) : (policy as DeleteOptions['propagation']),
    preconditions: {
      ...(uid === undefined ? {} : { uid }),
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
    },
    dryRun: dryRunOf(raw.dryRun ?? [], kind),
  }
}

const fromOrphan = (orphan: boolean | null): DeleteOptions['propagation'] => {
  if (orphan === null) return null
  return orphan ? 'Orphan' : 'Background'
}

function fromQuery(query: URLSearchParams): RawOptions {
  return {
    gracePeriodSeconds: parseInteger(query.get('gracePeriodSeconds')),
    propagationPolicy: query.get('propagationPolicy') || null,
    orphanDependents: parseBoolean(query.get('orphanDependents')),
    dryRun: query.getAll('dryRun'),
  }
}
