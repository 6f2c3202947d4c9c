/** Groups that the Kubernetes community keeps for itself, and what a definition in one of them has to say. */

export const APPROVED_ANNOTATION = 'api-approved.kubernetes.io'
const POLICY = 'see https://github.com/kubernetes/enhancements/pull/1111'

export const isProtectedGroup = (group: string): boolean => /(^|\.)(k8s|kubernetes)\.io$/.test(group)

export interface Approval {
  readonly state: 'missing' | 'bypassed' | 'approved' | 'invalid'
  readonly message: string
}

export function approvalOf(annotations: Readonly<Record<string, string>> | undefined): Approval {
  const annotation = annotations?.[APPROVED_ANNOTATION] ?? ''
  const must = `protected groups must have approval annotation ${JSON.stringify(APPROVED_ANNOTATION)}`
  if (annotation === '') return { state: 'missing', message: `${must}, ${POLICY}` }
  if (annotation.startsWith('unapproved')) {
    return { state: 'bypassed', message: `not approved: ${JSON.stringify(annotation)}` }
  }
  if (URL.canParse(annotation) && new URL(annotation).host !== '') {
    return { state: 'approved', message: `approved in ${annotation}` }
  }
  const choice = 'with either a URL or a reason starting with "unapproved"'
  return { state: 'invalid', message: `${must} ${choice}, ${POLICY}` }
}
