// @ts-check
// Buttons of a form of the admin that copy what stands before them.
import { bindCopies } from "./copy.js";

bindCopies(document);
