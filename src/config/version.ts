/** What this program is and which Kubernetes it speaks. */

declare const MK8S_PACKAGED_VERSION: string | undefined

/** Another one when the executable was packaged as such (`npm run package -- --version 0.1.1`). */
export const MK8S_VERSION = typeof MK8S_PACKAGED_VERSION === 'string' ? MK8S_PACKAGED_VERSION : '0.1.0'
export const KUBERNETES_MAJOR = '1'
export const KUBERNETES_MINOR = '36'
const KUBERNETES_PATCH = '0'

/** `v1.36.0+mk8s.0.1.0`: what `/version`, nodes and `kubectl version` show. */
export const GIT_VERSION = `v${KUBERNETES_MAJOR}.${KUBERNETES_MINOR}.${KUBERNETES_PATCH}+mk8s.${MK8S_VERSION}`

declare const MK8S_GIT_COMMIT: string | undefined
declare const MK8S_BUILD_DATE: string | undefined

/** The commit that was packaged and its time; nothing when the program runs from its sources. */
export const buildInfo: { readonly gitCommit?: string; readonly buildDate?: string } = {
  ...(typeof MK8S_GIT_COMMIT === 'string' && MK8S_GIT_COMMIT !== '' ? { gitCommit: MK8S_GIT_COMMIT } : {}),
  ...(typeof MK8S_BUILD_DATE === 'string' && MK8S_BUILD_DATE !== '' ? { buildDate: MK8S_BUILD_DATE } : {}),
}

/** What `mk8s --version` prints. */
export const versionLine = `mk8s v${MK8S_VERSION} (Kubernetes ${GIT_VERSION})`
