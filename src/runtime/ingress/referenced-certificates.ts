/** Which Secrets routing needs, and the list by which nodes learn of them. Pure. */
import { attachRoutes } from './attach-routes.ts'
import { ownIngresses } from './compile-ingress.ts'
import type { IngressSettings, World } from './world.ts'

/** Where the leader says which Secrets there are to be read; nodes may read those and no others. */
export const CERTIFICATE_LIST = { namespace: 'ingress', name: 'mk8s-ingress-certificates' } as const
/** The Role and RoleBinding by which they may, in each namespace. */
export const CERTIFICATE_ROLE = 'mk8s-ingress-certificates'
export const CERTIFICATES_MAX = 5_000

/** `namespace/name`, sorted. */
export function referencedCertificates(world: World, settings: IngressSettings): string[] {
  const names = new Set(settings.defaultCertificate === '' ? [] : [settings.defaultCertificate])
  for (const { metadata, spec } of ownIngresses(world)) {
    for (const { secretName } of spec?.tls ?? []) {
      if (secretName) names.add(`${metadata.namespace}/${secretName}`)
    }
  }
  for (const { listeners } of attachRoutes(world, settings).gateways) {
    for (const { certificates } of listeners) for (const name of certificates) names.add(name)
  }
  return [...names].sort().slice(0, CERTIFICATES_MAX)
}

/** Versions of Secrets by name. */
export type CertificateList = Readonly<Record<string, string>>

export const renderList = (list: CertificateList): Record<string, string> => ({
  secrets: JSON.stringify(list),
})

export function readList(data: Readonly<Record<string, string>> | undefined): CertificateList {
  try {
    const list: unknown = JSON.parse(data?.['secrets'] ?? '{}')
    return typeof list === 'object' && list !== null ? (list as CertificateList) : {}
  } catch {
    return {}
  }
}
