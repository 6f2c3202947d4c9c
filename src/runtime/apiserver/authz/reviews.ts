/** The reviews of authorization.k8s.io: may I, may they, and what may I at all. */
import { invalid as invalidField, required } from '../../../kube/field-error.ts'
import type { KubeObject } from '../../../kube/object.ts'
import { badRequest, invalid } from '../../../kube/status.ts'
import type { PolicyRule, SubjectAccessReviewSpec } from '../../../kube/types.ts'
import type { Authorizer, RequestAttributes, VirtualHandler, VirtualRequest } from '../ports.ts'
import type { UserInfo } from '../user.ts'
import { isSuperuser, type RbacAuthorizer } from './authz.ts'
import { checkSelectors, selectorsOf } from './selectors.ts'

const GROUP = 'authorization.k8s.io'

export type ReviewAuthorizer = Authorizer & Pick<RbacAuthorizer, 'rulesFor'>

export function createAuthorizationHandlers(authorizer: ReviewAuthorizer): readonly VirtualHandler[] {
  const review = (
    resource: string,
    kind: string,
    subjectOf: (spec: Partial<SubjectAccessReviewSpec>, request: VirtualRequest) => UserInfo,
  ): VirtualHandler => ({
    group: GROUP,
    resource,
    subresource: '',
    async handle(request) {
      const body = request.body ?? { apiVersion: `${GROUP}/v1`, kind, metadata: {} }
      const spec = (body['spec'] ?? {}) as Partial<SubjectAccessReviewSpec>
      checkSpec(kind, spec)
      const { selectors, problems } = selectorsOf(spec.resourceAttributes ?? {})
      const attributes = { ...attributesOf(spec, subjectOf(spec, request)), ...selectors }
      const { allowed, reason, isDenied, error } = await authorizer.authorize(attributes)
      const evaluationError = [...problems, ...(error === undefined ? [] : [error])].join(', ')
      const status = {
        allowed,
        ...(isDenied ? { denied: true } : {}),
        ...(reason === '' ? {} : { reason }),
        ...(evaluationError === '' ? {} : { evaluationError }),
      }
      return { status: 201, object: { ...body, status } }
    },
  })
  return [
    review('selfsubjectaccessreviews', 'SelfSubjectAccessReview', (_spec, { user }) => user),
    review('subjectaccessreviews', 'SubjectAccessReview', namedSubject('SubjectAccessReview')),
    review('localsubjectaccessreviews', 'LocalSubjectAccessReview', (spec, request) => {
      checkNamespace(spec, request.namespace)
      return namedSubject('LocalSubjectAccessReview')(spec)
    }),
    rulesReview(authorizer),
  ]
}

function checkSpec(kind: string, spec: Partial<SubjectAccessReviewSpec>): void {
  const resource = spec.resourceAttributes ?? null
  const nonResource = spec.nonResourceAttributes ?? null
  const where = 'spec.resourceAttributes'
  if (resource !== null && nonResource !== null) {
    const detail = 'cannot be specified in combination with resourceAttributes'
    throw invalid({ group: GROUP, kind }, '', [
      invalidField('spec.nonResourceAttributes', nonResource, detail),
    ])
  }
  const problems = checkSelectors(resource ?? {})
  if (problems.length > 0) throw invalid({ group: GROUP, kind }, '', problems)
  if (resource !== null || nonResource !== null) return
  const detail = 'exactly one of nonResourceAttributes or resourceAttributes must be specified'
  throw invalid({ group: GROUP, kind }, '', [invalidField(where, resource, detail)])
}

function checkNamespace(spec: Partial<SubjectAccessReviewSpec>, namespace: string): void {
  if (spec.resourceAttributes?.namespace === namespace) return
  throw badRequest(`spec.resourceAttributes.namespace must match namespace: ${JSON.stringify(namespace)}`)
}

const namedSubject =
  (kind: string) =>
  (spec: Partial<SubjectAccessReviewSpec>): UserInfo => {
    const { user = '', groups = [], uid, extra } = spec
    if (user === '' && groups.length === 0) {
      throw invalid({ group: GROUP, kind }, '', [
        required('spec.user', 'at least one of user or group must be specified'),
      ])
    }
    return {
      username: user,
      groups,
      ...(uid === undefined ? {} : { uid }),
      ...(extra === undefined ? {} : { extra }),
    }
  }

function attributesOf(spec: Partial<SubjectAccessReviewSpec>, user: UserInfo): RequestAttributes {
  const resource = spec.resourceAttributes
  const nonResource = spec.nonResourceAttributes
  return {
    user,
    verb: resource?.verb ?? nonResource?.verb ?? '',
    isResource: resource !== undefined && resource !== null,
    path: nonResource?.path ?? '',
    group: resource?.group ?? '',
    version: resource?.version ?? '',
    resource: resource?.resource ?? '',
    subresource: resource?.subresource ?? '',
    namespace: resource?.namespace ?? '',
    name: resource?.name ?? '',
  }
}

const EVERYTHING: readonly PolicyRule[] = [
  { verbs: ['*'], apiGroups: ['*'], resources: ['*'] },
  { verbs: ['*'], nonResourceURLs: ['*'] },
]

function rulesReview(authorizer: ReviewAuthorizer): VirtualHandler {
  return {
    group: GROUP,
    resource: 'selfsubjectrulesreviews',
    subresource: '',
    async handle({ body, user }) {
      const namespace = (body?.['spec'] as { namespace?: string } | undefined)?.namespace ?? ''
      if (namespace === '') throw badRequest('no namespace on request')
      const found = authorizer.rulesFor(user, namespace)
      const rules = isSuperuser(user) ? EVERYTHING : found.rules
      const object: KubeObject = {
        kind: 'SelfSubjectRulesReview',
        apiVersion: `${GROUP}/v1`,
        metadata: body?.metadata ?? {},
        spec: { namespace },
        status: {
          resourceRules: rules.filter(rule => (rule.resources?.length ?? 0) > 0).map(resourceRule),
          nonResourceRules: rules.filter(rule => (rule.nonResourceURLs?.length ?? 0) > 0).map(pathRule),
          incomplete: found.problems.length > 0,
          ...(found.problems.length === 0 ? {} : { evaluationError: found.problems.join(', ') }),
        },
      }
      return { status: 201, object }
    },
  }
}

const resourceRule = ({ verbs, apiGroups, resources, resourceNames }: PolicyRule) => ({
  verbs,
  apiGroups,
  resources,
  ...(resourceNames?.length ? { resourceNames } : {}),
})

const pathRule = ({ verbs, nonResourceURLs }: PolicyRule) => ({ verbs, nonResourceURLs })
