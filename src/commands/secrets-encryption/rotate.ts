/** `mk8s secrets-encryption rotate`. */
import { NodeCommand } from '../base-command.ts'
import { askAndTell } from './asking.ts'

export class SecretsEncryptionRotate extends NodeCommand {
  static override summary = 'Encrypt Secrets with a new key.'
  static override description =
    'All Secrets are rewritten. Earlier keys go on reading what the history of the datastore and ' +
    'backups still have. The key in pki/secrets-encryption.key stays.'
  static override examples = ['<%= config.bin %> secrets-encryption rotate']

  async run(): Promise<number> {
    const { flags } = await this.parse(SecretsEncryptionRotate)
    return await askAndTell(flags, 'rotate')
  }
}
