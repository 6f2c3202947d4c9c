/** APIService: who serves a group and version, this server itself or a Service of the cluster. */
import type { FieldError } from '../../../../kube/field-error.ts'
import { invalid, required } from '../../../../kube/field-error.ts'
import {
  checkDns1035Label,
  checkDns1123Subdomain,
  checkPathSegmentName,
  checkPortNumber,
} from '../../../../kube/names.ts'
import { formatTime } from '../../../../kube/time.ts'
import type { APIService } from '../../../../kube/types.ts'
import { ageColumn, column, nameColumn, since, tableOf } from '../columns.ts'
import { defineKind, keepMetadata } from '../kind.ts'
import type { Strategy } from '../strategy.ts'
import { asKind, setDefault } from '../support.ts'

const HTTPS = 443
const GROUP_PRIORITY_MAX = 20_000
const VERSION_PRIORITY_MAX = 1_000

type Spec = NonNullable<APIService['spec']>

function problemsOf({ metadata, spec }: APIService): readonly FieldError[] {
  const out: FieldError[] = []
  const name = `${spec?.version ?? ''}.${spec?.group ?? ''}`
  if (metadata.name !== name) {
    const detail = `must be \`spec.version+"."+spec.group\`: "${name}"`
    out.push(invalid('metadata.name', metadata.name, detail))
  }
  if (spec === undefined) return out
  checkGroupVersion(out, spec)
  checkPriority(out, 'groupPriorityMinimum', spec.groupPriorityMinimum, GROUP_PRIORITY_MAX)
  checkPriority(out, 'versionPriority', spec.versionPriority, VERSION_PRIORITY_MAX)
  if (spec.service) checkRemote(out, spec, spec.service)
  else checkLocal(out, spec)
  return out
}

function checkGroupVersion(out: FieldError[], { group = '', version = '' }: Spec): void {
  if (group === '' && version !== 'v1') {
    out.push(required('spec.group', 'only v1 may have an empty group and it better be legacy kube'))
  }
  if (group !== '') {
    for (const problem of checkDns1123Subdomain(group)) out.push(invalid('spec.group', group, problem))
  }
  for (const problem of checkDns1035Label(version)) out.push(invalid('spec.version', version, problem))
}

function checkPriority(out: FieldError[], field: string, value: number | undefined, max: number): void {
  const priority = value ?? 0
  if (priority > 0 && priority <= max) return
  out.push(invalid(`spec.${field}`, priority, `must be positive and less than ${max}`))
}

function checkLocal(out: FieldError[], { caBundle, insecureSkipTLSVerify }: Spec): void {
  if (caBundle) {
    const bytes = `${Buffer.from(caBundle, 'base64').length} bytes`
    out.push(invalid('spec.caBundle', bytes, 'local APIServices may not have a caBundle'))
  }
  if (insecureSkipTLSVerify) {
    const detail = 'local APIServices may not have insecureSkipTLSVerify'
    out.push(invalid('spec.insecureSkipTLSVerify', insecureSkipTLSVerify, detail))
  }
}

function checkRemote(
  out: FieldError[],
  { caBundle, insecureSkipTLSVerify }: Spec,
  { namespace, name, port = HTTPS }: NonNullable<Spec['service']>,
): void {
  if (insecureSkipTLSVerify && caBundle) {
    const detail = 'may not be true if caBundle is present'
    out.push(invalid('spec.insecureSkipTLSVerify', insecureSkipTLSVerify, detail))
  }
  if (!namespace) out.push(required('spec.service.namespace'))
  if (!name) out.push(required('spec.service.name'))
  const problems = checkPortNumber(port)
  if (problems.length > 0) {
    out.push(invalid('spec.service.port', port, `port is not valid: ${problems.join(',')}`))
  }
}

function availability({ status }: APIService): string {
  const condition = (status?.conditions ?? []).find(item => item.type === 'Available')
  if (!condition) return 'Unknown'
  return condition.status === 'True' ? 'True' : `${condition.status} (${condition.reason ?? ''})`
}

export const apiServices: Strategy = defineKind({
  group: 'apiregistration.k8s.io',
  resource: 'apiservices',
  hasStatus: true,
  prepareForStatusUpdate: keepMetadata,
  hasGeneration: false,
  allowUnconditionalUpdate: false,
  // `v1.` is the core group's.
  validateName: name => checkPathSegmentName(name)[0] ?? null,
  applyDefaults(object) {
    const service = asKind<APIService>(object).spec?.service
    if (service) setDefault(service, 'port', HTTPS)
  },
  prepareForCreate(object, { nowMs }) {
    if (asKind<APIService>(object).spec?.service) return
    const condition = {
      type: 'Available',
      status: 'True',
      lastTransitionTime: formatTime(nowMs),
      reason: 'Local',
      message: 'Local APIServices are always available',
    }
    object['status'] = { conditions: [condition] }
  },
  validate: object => problemsOf(asKind<APIService>(object)),
  table: tableOf<APIService>(
    [
      nameColumn,
      column('Service', 'Who serves the group and version'),
      column('Available', 'Whether it answers'),
      ageColumn,
    ],
    (item, nowMs) => {
      const service = item.spec?.service
      return [
        item.metadata.name ?? '',
        service ? `${service.namespace}/${service.name}` : 'Local',
        availability(item),
        since(item.metadata.creationTimestamp, nowMs),
      ]
    },
  ),
})
