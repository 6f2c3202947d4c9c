/** What the commands about the encryption of Secrets share: asking the daemon, and telling what it says. */
import { print, printJson } from '../../cli/terminal.ts'
import {
  askEncryption,
  type EncryptionAction,
  type SecretsEncryptionStatus,
} from '../../client/secrets-encryption.ts'
import { nodePaths } from '../../host/node-files.ts'

export async function askAndTell(
  flags: { readonly 'data-dir': string; readonly json: boolean },
  action: EncryptionAction | null,
): Promise<number> {
  const status = await askEncryption(nodePaths(flags['data-dir']).adminSocket, action)
  if (flags.json) printJson(status)
  else print(render(status))
  return 0
}

function render({ enabled, keys, current, stale }: SecretsEncryptionStatus): string {
  const rest = stale === 0 ? '' : `, ${stale} yet to be rewritten (run the command again)`
  if (!enabled) return `Secrets are stored plain: ${current}${rest}`
  const [first] = keys
  return `Secrets are encrypted with the key ${first?.id}, made at ${first?.createdAt}: ${current}${rest}`
}
