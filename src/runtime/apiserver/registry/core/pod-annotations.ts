/** Annotations of pods that mean something: profiles as they were once set, static pods, the cost of deletion. */
import { forbidden, invalid } from '../../../../kube/field-error.ts'
import type { Pod, PodSpec, SecurityContext } from '../../../../kube/types.ts'
import { keyed } from '../support.ts'
import type { Problems } from '../validation/meta.ts'
import { checkLocalPath } from '../validation/paths.ts'
import { containersWithPaths } from '../validation/pod-os.ts'

const FIELD = 'metadata.annotations'
const MIRROR = 'kubernetes.io/config.mirror'
const DELETION_COST = 'controller.kubernetes.io/pod-deletion-cost'
const SECCOMP_POD = 'seccomp.security.alpha.kubernetes.io/pod'
const SECCOMP_CONTAINER = 'container.seccomp.security.alpha.kubernetes.io/'
const APP_ARMOR = 'container.apparmor.security.beta.kubernetes.io/'
const LOCALHOST = 'localhost/'
const INT32_MAX = 2 ** 31 - 1

export function checkPodAnnotations(out: Problems, pod: Pod, spec: PodSpec): void {
  const names = new Set(containersWithPaths('spec', spec).map(([, container]) => container.name))
  for (const [key, value] of Object.entries(pod.metadata.annotations ?? {})) {
    if (key === MIRROR && !spec.nodeName) {
      out.push(invalid(keyed(FIELD, key), value, 'must set spec.nodeName if mirror pod annotation is set'))
    } else if (key === DELETION_COST) {
      if (!isInt32(value)) out.push(invalid(keyed(FIELD, key), value, 'must be a 32bit integer'))
    } else if (key === SECCOMP_POD || key.startsWith(SECCOMP_CONTAINER)) {
      checkSeccompName(out, `${FIELD}.${key}`, value)
    } else if (key.startsWith(APP_ARMOR)) {
      const name = key.slice(APP_ARMOR.length)
      if (!names.has(name)) out.push(invalid(keyed(FIELD, key), name, 'container not found'))
      if (isAppArmorName(value)) continue
      const detail = `invalid AppArmor profile name: ${JSON.stringify(value)}`
      out.push(invalid(keyed(FIELD, key), value, detail))
    }
  }
}

/** Digits with an optional minus; neither plus nor leading zeros. */
const isInt32 = (text: string): boolean =>
  /^(0|-?[1-9][0-9]*)$/.test(text) && Number(text) <= INT32_MAX && Number(text) >= -INT32_MAX - 1

const isAppArmorName = (name: string): boolean =>
  name === '' || name === 'runtime/default' || name === 'unconfined' || name.startsWith(LOCALHOST)

function checkSeccompName(out: Problems, field: string, name: string): void {
  if (['runtime/default', 'docker/default', 'unconfined'].includes(name)) return
  if (name.startsWith(LOCALHOST)) checkLocalPath(out, field, name.slice(LOCALHOST.length))
  else out.push(invalid(field, name, 'must be a valid seccomp profile'))
}

type Profile = SecurityContext['seccompProfile'] | SecurityContext['appArmorProfile']

/** Who sets a profile in both ways says the same in both. */
export function checkProfilesAgree(out: Problems, pod: Pod, spec: PodSpec): void {
  const { annotations = {} } = pod.metadata
  const ofPod = spec.securityContext
  checkAgreement(out, 'spec.securityContext.seccompProfile', {
    kind: 'seccomp',
    annotation: annotations[SECCOMP_POD],
    profile: ofPod?.seccompProfile,
  })
  for (const [field, { name, securityContext: context }] of containersWithPaths('spec', spec)) {
    checkAgreement(out, `${field}.securityContext.seccompProfile`, {
      kind: 'seccomp',
      annotation: annotations[`${SECCOMP_CONTAINER}${name}`],
      profile: context?.seccompProfile,
    })
    if (spec.os?.name === 'windows') continue
    checkAgreement(out, `${field}.securityContext.appArmorProfile`, {
      kind: 'apparmor',
      annotation: annotations[`${APP_ARMOR}${name}`],
      profile: context?.appArmorProfile ?? ofPod?.appArmorProfile,
    })
  }
}

const NAMES: Readonly<Record<string, readonly string[]>> = {
  Unconfined: ['unconfined'],
  RuntimeDefault: ['runtime/default', 'docker/default'],
}

function checkAgreement(
  out: Problems,
  field: string,
  { kind, annotation, profile }: { kind: string; annotation: string | undefined; profile: Profile },
): void {
  if (annotation === undefined || !profile) return
  const isLocal = profile.type === 'Localhost'
  const agrees = isLocal ? annotation.startsWith(LOCALHOST) : NAMES[profile.type]?.includes(annotation)
  if (agrees === false) {
    out.push(forbidden(`${field}.type`, `${kind} type in annotation and field must match`))
  } else if (isLocal && annotation.slice(LOCALHOST.length) !== profile.localhostProfile) {
    const detail = `${kind} profile in annotation and field must match`
    out.push(forbidden(`${field}.localhostProfile`, detail))
  }
}
