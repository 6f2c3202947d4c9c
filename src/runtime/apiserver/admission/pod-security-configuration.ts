/** `PodSecurityConfiguration` of pod-security.admission.config.k8s.io: what counts without labels, and whom it spares. */
import { isMap, type JsonMap } from '../../../kube/json-map.ts'
import { checkDns1123Label, checkDns1123Subdomain } from '../../../kube/names.ts'
import {
  isLevel,
  isVersion,
  type LevelVersion,
  NONE,
  type PodSecurityDefaults,
} from './pod-security-policy.ts'

export interface PodSecuritySettings {
  readonly defaults: PodSecurityDefaults
  readonly exemptions: {
    readonly usernames: ReadonlySet<string>
    readonly runtimeClasses: ReadonlySet<string>
    readonly namespaces: ReadonlySet<string>
  }
}

const NOBODY: ReadonlySet<string> = new Set()

export const POD_SECURITY_DEFAULT: PodSecuritySettings = {
  defaults: { enforce: NONE, audit: NONE, warn: NONE },
  exemptions: { usernames: NOBODY, runtimeClasses: NOBODY, namespaces: NOBODY },
}

export const POD_SECURITY_VERSIONS = ['v1', 'v1beta1', 'v1alpha1'].map(
  version => `pod-security.admission.config.k8s.io/${version}`,
)

/** What is wrong is added to `problems`, with the path of its field. */
export function readPodSecurity(fields: JsonMap, problems: string[]): PodSecuritySettings {
  const defaults = isMap(fields['defaults']) ? fields['defaults'] : {}
  const modeOf = (mode: string): LevelVersion => {
    const [level, version] = [defaults[mode] ?? NONE.level, defaults[`${mode}-version`] ?? NONE.version]
    const bad = (field: string, value: unknown, why: string) =>
      problems.push(`defaults.${field}: Invalid value: ${JSON.stringify(value)}: ${why}`)
    if (!isLevel(level)) bad(mode, level, 'must be one of privileged, baseline, restricted')
    if (!isVersion(version)) bad(`${mode}-version`, version, 'must be "latest" or "v1.x"')
    return isLevel(level) && isVersion(version) ? { level, version } : NONE
  }
  const exemptions = isMap(fields['exemptions']) ? fields['exemptions'] : {}
  const namesIn = (field: string, check: (name: string) => readonly string[]) =>
    readNames(exemptions[field], `exemptions.${field}`, check, problems)
  return {
    defaults: { enforce: modeOf('enforce'), audit: modeOf('audit'), warn: modeOf('warn') },
    exemptions: {
      usernames: namesIn('usernames', name => (name === '' ? ['username must not be empty'] : [])),
      runtimeClasses: namesIn('runtimeClasses', checkDns1123Subdomain),
      namespaces: namesIn('namespaces', checkDns1123Label),
    },
  }
}

function readNames(
  value: unknown,
  where: string,
  check: (name: string) => readonly string[],
  problems: string[],
): ReadonlySet<string> {
  const names = new Set<string>()
  for (const [at, one] of (Array.isArray(value) ? value : []).entries()) {
    const name = String(one)
    const said = JSON.stringify(name)
    for (const why of check(name)) problems.push(`${where}[${at}]: Invalid value: ${said}: ${why}`)
    if (names.has(name)) problems.push(`${where}[${at}]: Duplicate value: ${said}`)
    names.add(name)
  }
  return names
}
