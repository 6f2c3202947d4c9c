/** `mk8s secrets-encryption disable`. */
import { NodeCommand } from '../base-command.ts'
import { askAndTell } from './asking.ts'

export class SecretsEncryptionDisable extends NodeCommand {
  static override summary = 'Store Secrets plain again.'
  static override description =
    'All Secrets are rewritten. The history of the datastore forgets the encrypted ones after five ' +
    'minutes.'
  static override examples = ['<%= config.bin %> secrets-encryption disable']

  async run(): Promise<number> {
    const { flags } = await this.parse(SecretsEncryptionDisable)
    return await askAndTell(flags, 'disable')
  }
}
