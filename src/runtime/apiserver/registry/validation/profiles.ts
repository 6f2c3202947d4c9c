/** What confines containers: seccomp and AppArmor profiles, and the options of Windows. */
import { invalid, notSupported, required, tooLong } from '../../../../kube/field-error.ts'
import { checkDns1123Subdomain } from '../../../../kube/names.ts'
import type { PodSecurityContext, SecurityContext } from '../../../../kube/types.ts'
import { checkEach, type Problems } from './meta.ts'
import { checkLocalPath } from './paths.ts'

const TYPES = ['Localhost', 'RuntimeDefault', 'Unconfined']
const APP_ARMOR_BYTES_MAX = 4095
const CREDENTIAL_BYTES_MAX = 64 * 1024
const WINDOWS_USER_MAX = 104
const WINDOWS_DOMAIN_MAX = 256

type Context = PodSecurityContext | SecurityContext

export function checkSeccomp(out: Problems, field: string, profile: Context['seccompProfile']): void {
  if (!profile) return
  if (!profile.type) out.push(required(`${field}.type`, 'type is required when seccompProfile is set'))
  else if (!TYPES.includes(profile.type)) out.push(notSupported(`${field}.type`, profile.type, TYPES))
  const path = `${field}.localhostProfile`
  if (profile.type !== 'Localhost') {
    if (profile.localhostProfile === undefined) return
    out.push(invalid(path, profile, 'can only be set when seccomp type is Localhost'))
  } else if (profile.localhostProfile === undefined) {
    out.push(required(path, 'must be set when seccomp type is Localhost'))
  } else checkLocalPath(out, path, profile.localhostProfile)
}

export function checkAppArmor(out: Problems, field: string, profile: Context['appArmorProfile']): void {
  if (!profile) return
  const { type, localhostProfile: local } = profile
  const path = `${field}.localhostProfile`
  if (!type) out.push(required(`${field}.type`, 'type is required when appArmorProfile is set'))
  else if (!TYPES.includes(type)) out.push(notSupported(`${field}.type`, type, TYPES))
  else if (type !== 'Localhost') {
    if (local === undefined) return
    out.push(invalid(path, local, 'can only be set when AppArmor type is Localhost'))
  } else if (local !== undefined && local.trim() !== local) {
    out.push(invalid(path, local, 'must not be padded with whitespace'))
  } else if (!local) {
    out.push(required(path, 'must be set when AppArmor type is Localhost'))
  } else if (local.length > APP_ARMOR_BYTES_MAX) {
    out.push(tooLong(path, APP_ARMOR_BYTES_MAX))
  }
}

export function checkWindows(out: Problems, field: string, options: Context['windowsOptions']): void {
  if (!options) return
  const { gmsaCredentialSpecName: name, gmsaCredentialSpec: spec, runAsUserName: user } = options
  if (name !== undefined) {
    checkEach(out, `${field}.gmsaCredentialSpecName`, name, checkDns1123Subdomain(name))
  }
  if (spec !== undefined) {
    const path = `${field}.gmsaCredentialSpec`
    if (spec === '') out.push(invalid(path, spec, 'gmsaCredentialSpec cannot be an empty string'))
    else if (spec.length > CREDENTIAL_BYTES_MAX) {
      out.push(invalid(path, spec, 'gmsaCredentialSpec size must be under 64 KiB'))
    }
  }
  if (user !== undefined) checkWindowsUser(out, `${field}.runAsUserName`, user)
}

function checkWindowsUser(out: Problems, field: string, text: string): void {
  const report = (detail: string) => out.push(invalid(field, text, `runAsUserName ${detail}`))
  if (text === '') {
    report('cannot be an empty string')
    return
  }
  const parts = text.split('\\')
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  if (/[\u0000-\u001f\u007f]/.test(text)) report('cannot contain control characters')
  if (parts.length > 2) {
    report('cannot contain more than one backslash')
    return
  }
  const [domain, user] = parts.length === 2 ? [parts[0] ?? '', parts[1] ?? ''] : [null, text]
  const say = (detail: string) => out.push(invalid(field, text, `runAsUserName's ${detail}`))
  if (domain !== null && domain.length >= WINDOWS_DOMAIN_MAX) {
    say(`Domain length must be under ${WINDOWS_DOMAIN_MAX} characters`)
  }
  if (user === '') say('User cannot be empty')
  else if (user.length > WINDOWS_USER_MAX) {
    say(`User length must not be longer than ${WINDOWS_USER_MAX} characters`)
  }
}
