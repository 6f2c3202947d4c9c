/** Spellings of the commands about images that people have in their fingers from elsewhere. */
import { ImagesList } from './list.ts'
import { ImagesRemove } from './remove.ts'

export class ImagesLs extends ImagesList {
  static override hidden = true
}

export class ImagesRm extends ImagesRemove {
  static override hidden = true
}
