/** What can be asked of the engine, by number: see `src/verb.rs`, which says what each uses of its arguments. */

export const enum Verb {
  Ready,
  Flush,
  Bind,
  Open,
  CreateBucket,
  UpdateBucket,
  CreateOrUpdateBucket,
  DeleteBucket,
  BucketNames,
  BucketList,
  Status,
  Get,
  Entry,
  Put,
  Create,
  Update,
  Touch,
  Delete,
  Purge,
  History,
  Keys,
  Entries,
  Count,
  GetMany,
  PutMany,
  Clear,
  PurgeDeletes,
  Execute,
  Watch,
}

/** A verb with its arguments; who leaves one out gives none. */
export interface Ask {
  verb: Verb;
  /** The bucket's number. */
  bucket?: number;
  /** A key, a name, or JSON. */
  text?: string;
  /** A value. */
  bytes?: Uint8Array;
  /** A revision, a duration, or flags. */
  number?: number | undefined;
  ttl?: number | undefined;
}
