/** How commands are told of a backup that is no file here, and what they get then. */
import { Flags } from '../../cli/flags.ts'

export const secretFlag = Flags.string({
  description: 'The Secret in kube-system with the credentials of the target.',
  helpValue: 'NAME',
})

export const credentialsFlag = Flags.string({
  description:
    'The credentials of the target are in this file, mode 0600, by the keys that the Secret has: for a machine ' +
    'without the cluster.',
  helpValue: 'FILE',
  exclusive: ['secret'],
})

export const remoteFlags = {
  schedule: Flags.string({
    description: 'The backup is at the target of this schedule: the newest one, unless a file is named.',
    helpValue: 'NAME',
    exclusive: ['secret'],
  }),
  secret: secretFlag,
  credentials: credentialsFlag,
}

export interface RemoteFlags {
  readonly 'data-dir': string
  readonly json: boolean
  readonly schedule?: string | undefined
  readonly secret?: string | undefined
  readonly credentials?: string | undefined
}

export const FILE_OR_URL = 'The backup: a file, or the URL of one at a target.'
export const isTargetUrl = (text: string): boolean => /^[a-z][a-z0-9+.-]*:\/\//.test(text)

export interface FoundBackup {
  readonly path: string
  /** What people are told. */
  readonly shown: string
  /** The passphrase that the credentials have, for a file that is encrypted with it. */
  readonly passphrase: Buffer | null
  /** To be called once the file is open: a copy has no name from then on. */
  release(): void
}
