/** `mk8s secrets-encryption enable`. */
import { NodeCommand } from '../base-command.ts'
import { askAndTell } from './asking.ts'

export class SecretsEncryptionEnable extends NodeCommand {
  static override summary = 'Encrypt Secrets in the datastore.'
  static override description =
    'Each is encrypted with AES-256-GCM before it is proposed, so that log, database and unencrypted ' +
    'backups have ciphertext only. The data keys are in the datastore, encrypted with the key of ' +
    'pki/secrets-encryption.key, which is on every server and in backups with keys. All Secrets are ' +
    'rewritten; whoever watches them sees them as changed.'
  static override examples = ['<%= config.bin %> secrets-encryption enable']

  async run(): Promise<number> {
    const { flags } = await this.parse(SecretsEncryptionEnable)
    return await askAndTell(flags, 'enable')
  }
}
