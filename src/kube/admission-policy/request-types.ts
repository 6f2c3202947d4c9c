/** The types of what expressions of webhooks and policies may ask of the request: `request` and `authorizer`. */
import { AUTHORIZER, RESOURCE_CHECK } from '../cel/library/authorizer.ts'
import { BOOL, type CelType, DYN, listOf, mapOf, objectOf, STRING } from '../cel/types.ts'

const KIND = objectOf('kubernetes.GroupVersionKind', { group: STRING, version: STRING, kind: STRING })
const RESOURCE = objectOf('kubernetes.GroupVersionResource', {
  group: STRING,
  version: STRING,
  resource: STRING,
})
const USER = objectOf('kubernetes.UserInfo', {
  username: STRING,
  uid: STRING,
  groups: listOf(STRING),
  extra: mapOf(STRING, listOf(STRING)),
})
export const REQUEST = objectOf('kubernetes.AdmissionRequest', {
  kind: KIND,
  resource: RESOURCE,
  subResource: STRING,
  requestKind: KIND,
  requestResource: RESOURCE,
  requestSubResource: STRING,
  name: STRING,
  namespace: STRING,
  operation: STRING,
  userInfo: USER,
  dryRun: BOOL,
  options: DYN,
})

export const requestVariables: readonly (readonly [name: string, type: CelType])[] = [
  ['request', REQUEST],
  ['authorizer', AUTHORIZER],
  ['authorizer.requestResource', RESOURCE_CHECK],
]
