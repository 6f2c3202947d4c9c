/** What expressions of webhooks and policies may ask of the request itself: `request` and `authorizer`. */
import { REQUEST } from '../../../kube/admission-policy/request-types.ts'
import { fromJson } from '../../../kube/cel/json-value.ts'
import { type Authorize, authorizerValue, resourceCheckValue } from '../../../kube/cel/library/authorizer.ts'
import type { CelValue } from '../../../kube/cel/values.ts'
import { selectorsIn } from '../authz/selectors.ts'
import type { AdmissionRequest, RequestAttributes, ResourceForm } from '../ports.ts'
import type { Answers } from './answers.ts'
import { requestDocument } from './request-document.ts'
import { ruleSubject } from './rule-match.ts'

export type RequestBindings = Readonly<
  Record<'request' | 'authorizer' | 'authorizer.requestResource', CelValue>
>

export function requestBindings(
  request: AdmissionRequest,
  form: ResourceForm,
  answers: Answers,
): RequestBindings {
  const document = { ...requestDocument(request, form), dryRun: request.dryRun, options: request.options() }
  const authorize = authorizeWith(request, answers)
  const { namespace, name } = ruleSubject(request)
  const { group, resource } = request.forms.requested
  const question = { group, resource, subresource: request.subresource, namespace, name }
  return {
    request: fromJson(document, REQUEST),
    authorizer: authorizerValue(authorize),
    'authorizer.requestResource': resourceCheckValue(authorize, question),
  }
}

function authorizeWith({ user }: AdmissionRequest, answers: Answers): Authorize {
  return (question, verb) => {
    const { serviceAccount, path } = question
    const attributes: RequestAttributes = {
      user: serviceAccount === undefined ? user : serviceAccountUser(serviceAccount),
      verb,
      isResource: path === undefined,
      path: path ?? '',
      group: question.group,
      version: '*',
      resource: question.resource,
      subresource: question.subresource,
      namespace: question.namespace,
      name: question.name,
      ...selectorsIn(question.fieldSelector ?? '', question.labelSelector ?? ''),
    }
    return answers.authorize(attributes)
  }
}

const serviceAccountUser = ({ namespace, name }: { namespace: string; name: string }) => ({
  username: `system:serviceaccount:${namespace}:${name}`,
  groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'],
})
