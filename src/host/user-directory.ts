/** Where mk8s keeps what is a user's own and no node's. Pure. */
import { posix, win32 } from 'node:path'

export interface UserPlace {
  readonly platform: NodeJS.Platform
  readonly env: Readonly<Record<string, string | undefined>>
  readonly home: string
}

/** `credentials/` and the key of this machine lie in it. */
export function userConfigDirectory({ platform, env, home }: UserPlace): string {
  if (platform === 'win32') return win32.join(env['APPDATA'] || win32.join(home, 'AppData/Roaming'), 'mk8s')
  if (platform === 'darwin') return posix.join(home, 'Library/Application Support/mk8s')
  return posix.join(env['XDG_CONFIG_HOME'] || posix.join(home, '.config'), 'mk8s')
}

/** For what can be made again at any time, native code among it. */
export function userCacheDirectory({ platform, env, home }: UserPlace): string {
  if (platform === 'win32')
    return win32.join(env['LOCALAPPDATA'] || win32.join(home, 'AppData/Local'), 'mk8s')
  return posix.join(env['XDG_CACHE_HOME'] || posix.join(home, '.cache'), 'mk8s')
}
