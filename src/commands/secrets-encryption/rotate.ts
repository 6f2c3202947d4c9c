/** `mk8s secrets-encryption rotate`. */
import { Flags } from '../../cli/flags.ts'
import { replaceKey } from '../../client/key-rotation.ts'
import { nodePaths } from '../../host/node-files.ts'
import { NodeCommand, timeoutFlag } from '../base-command.ts'
import { followKey } from '../replacing-keys.ts'
import { askAndTell } from './asking.ts'

export class SecretsEncryptionRotate extends NodeCommand {
  static override summary = 'Encrypt Secrets with a new key.'
  static override description =
    'All Secrets are rewritten. Earlier keys go on reading what the history of the datastore and ' +
    'backups still have. The key in pki/secrets-encryption.key stays; with --wrapping-key it is that one which is ' +
    'replaced, on every server, and no Secret is rewritten. A server that is off is waited for. ' +
    'A backup without keys from before can then be read nowhere, one with keys as ever.'
  static override examples = [
    '<%= config.bin %> secrets-encryption rotate',
    '<%= config.bin %> secrets-encryption rotate --wrapping-key',
  ]
  static override flags = {
    'wrapping-key': Flags.boolean({
      description: 'Replace the key in pki/secrets-encryption.key, which encrypts the keys of Secrets.',
    }),
    timeout: timeoutFlag('How long to wait for the other servers, when the wrapping key is replaced.'),
  }

  async run(): Promise<number> {
    const { flags } = await this.parse(SecretsEncryptionRotate)
    if (!flags['wrapping-key']) return await askAndTell(flags, 'rotate')
    const { adminSocket } = nodePaths(flags['data-dir'])
    const ring = 'secrets-encryption'
    await replaceKey(adminSocket, ring)
    await followKey(adminSocket, ring, flags, rotation => rotation === null)
    return await askAndTell(flags, null)
  }
}
