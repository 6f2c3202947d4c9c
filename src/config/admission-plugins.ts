/** The admission plugins that may be switched on and off by name, in kube-apiserver's order. Pure. */
import { nearest } from '../base/nearest.ts'

/** All of them, and whether they are on unless somebody says otherwise. NodeRestriction is, as with kubeadm. */
const PLUGINS: readonly (readonly [name: string, isOn: boolean])[] = [
  ['AlwaysAdmit', false],
  ['NamespaceAutoProvision', false],
  ['NamespaceLifecycle', true],
  ['NamespaceExists', false],
  ['LimitPodHardAntiAffinityTopology', false],
  ['LimitRanger', true],
  ['ServiceAccount', true],
  ['NodeRestriction', true],
  ['TaintNodesByCondition', true],
  ['AlwaysPullImages', false],
  ['ImagePolicyWebhook', false],
  ['PodSecurity', true],
  ['PodNodeSelector', false],
  ['Priority', true],
  ['DefaultTolerationSeconds', true],
  ['PodTolerationRestriction', false],
  ['EventRateLimit', false],
  ['ExtendedResourceToleration', false],
  ['DefaultStorageClass', true],
  ['StorageObjectInUseProtection', true],
  ['OwnerReferencesPermissionEnforcement', false],
  ['PersistentVolumeClaimResize', true],
  ['RuntimeClass', true],
  ['CertificateApproval', true],
  ['CertificateSigning', true],
  ['CertificateSubjectRestriction', true],
  ['DefaultIngressClass', true],
  ['DenyServiceExternalIPs', false],
  ['PodTopologyLabels', true],
  ['NodeDeclaredFeatureValidator', true],
  ['MutatingAdmissionPolicy', true],
  ['MutatingAdmissionWebhook', true],
  ['ValidatingAdmissionPolicy', true],
  ['ValidatingAdmissionWebhook', true],
  ['ResourceQuota', true],
  ['AlwaysDeny', false],
]

const NAMES = PLUGINS.map(([name]) => name)

const namesIn = (text: string): readonly string[] =>
  text
    .split(',')
    .map(name => name.trim())
    .filter(name => name !== '')

/** Undefined when each name of the list is that of a plugin. */
export function admissionPluginsProblem(text: string): string | undefined {
  const unknown = namesIn(text).find(name => !NAMES.includes(name))
  if (unknown === undefined) return undefined
  const meant = nearest(unknown, NAMES)
  const hint = meant === undefined ? '' : `; did you mean ${meant}?`
  return `plugin ${JSON.stringify(unknown)} is unknown${hint} (known: ${NAMES.join(', ')})`
}

/** Plugins that are to be on and off. */
export const inBothLists = (enable: string, disable: string): readonly string[] =>
  namesIn(enable).filter(name => namesIn(disable).includes(name))

/** The plugins that are on: those by default and those enabled, without those disabled. */
export function chosenAdmissionPlugins(enable = '', disable = ''): ReadonlySet<string> {
  const [more, fewer] = [namesIn(enable), namesIn(disable)]
  const isOn = ([name, usual]: (typeof PLUGINS)[number]) =>
    more.includes(name) || (usual && !fewer.includes(name))
  return new Set(PLUGINS.filter(isOn).map(([name]) => name))
}
