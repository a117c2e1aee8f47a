//! Strangers at work: what a step prints, what a context, an image or a registry holds, and who may see secrets. The
//! tests bear the rows of `testdata/advisories.tsv`.

mod canaries;
mod images;
mod logs;
mod runners;
mod secrets;
mod sources;
