/** `mk8s secrets-encryption status`. */
import { NodeCommand } from '../base-command.ts'
import { askAndTell } from './asking.ts'

export class SecretsEncryptionStatus extends NodeCommand {
  static override summary = 'Tell whether Secrets are encrypted in the datastore.'
  static override description = 'Counts what is stored as it should be, and what is not.'
  static override examples = ['<%= config.bin %> secrets-encryption status']

  async run(): Promise<number> {
    const { flags } = await this.parse(SecretsEncryptionStatus)
    return await askAndTell(flags, null)
  }
}
