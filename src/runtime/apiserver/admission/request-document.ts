/** A request in the words of AdmissionReview, without its objects: for webhooks, and as `request` of expressions. */
import type { AdmissionRequest, ResourceForm } from '../ports.ts'
import { ruleSubject } from './rule-match.ts'

/** `form`: how the one who is asked wants to see it. */
export function requestDocument(request: AdmissionRequest, form: ResourceForm): Record<string, unknown> {
  const { requested } = request.forms
  const { operation, subresource, user } = request
  const { namespace, name } = ruleSubject(request)
  const extra = user.extra ?? {}
  return {
    kind: kindOf(form),
    resource: resourceOf(form),
    ...(subresource === '' ? {} : { subResource: subresource }),
    requestKind: kindOf(requested),
    requestResource: resourceOf(requested),
    ...(subresource === '' ? {} : { requestSubResource: subresource }),
    ...(name === '' ? {} : { name }),
    ...(namespace === '' ? {} : { namespace }),
    operation,
    userInfo: {
      username: user.username,
      ...(user.uid ? { uid: user.uid } : {}),
      ...(user.groups.length === 0 ? {} : { groups: user.groups }),
      ...(Object.keys(extra).length === 0 ? {} : { extra }),
    },
  }
}

const kindOf = ({ kind: { group, version, kind } }: ResourceForm) => ({ group, version, kind })
const resourceOf = ({ group, version, resource }: ResourceForm) => ({ group, version, resource })
