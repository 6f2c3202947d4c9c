/** Whether this process has an administrator's rights on Windows. */
import { loadLibrary } from '../native.ts'

let elevated: boolean | undefined

/** Of the token that the process runs with: an administrator who did not raise his rights is none. */
export function isElevated(): boolean {
  elevated ??=
    loadLibrary('shell32.dll').getFunction('IsUserAnAdmin', { arguments: [], return: 'i32' })() !== 0
  return elevated
}
